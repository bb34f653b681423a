// Pure.
#include "data_pipeline/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "comm/base/utf8.h"

namespace breakeven {
namespace {

constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();
// Up to here rescanning an array beats a heap.
constexpr size_t kFew = 48;

// GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for U+0100 and up, in
// order. Index: code point below 0x144; value: byte, -1 where the code point is not in the
// alphabet.
std::array<int, 0x144> MakeAlphabet() {
  std::array<int, 0x144> byte_of;
  byte_of.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    byte_of[static_cast<size_t>(printable ? byte : next++)] = byte;
  }
  return byte_of;
}

// Smallest (rank, position) on top.
bool Later(const Bpe::Scratch::Candidate& a, const Bpe::Scratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

std::string MappedBytes(std::string_view text, bool* all_mapped) {
  static const std::array<int, 0x144> byte_of = MakeAlphabet();
  std::string bytes;
  const char* p = text.data();
  const char* end = p + text.size();
  *all_mapped = true;
  while (p < end) {
    const uint32_t c = NextCodePoint(p);
    if (c >= byte_of.size() || byte_of[c] < 0) {
      *all_mapped = false;
      return std::string(text);
    }
    bytes.push_back(static_cast<char>(byte_of[c]));
  }
  return bytes;
}

Bpe::Bpe(BpeSpec spec) : spec_(std::move(spec)) {
  byte_ids_.fill(-1);
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = spec_.ids.find(std::string(1, static_cast<char>(byte)));
    if (it != spec_.ids.end()) byte_ids_[static_cast<size_t>(byte)] = it->second;
  }
  pairs_.resize(std::bit_ceil(2 * spec_.merges.size() + 2));
  for (size_t rank = 0; rank < spec_.merges.size(); ++rank) {
    const BpeMerge& merge = spec_.merges[rank];
    const uint64_t key = PairKey(merge.left, merge.right);
    size_t i = (key * 0x9E3779B97F4A7C15ull >> 20) & (pairs_.size() - 1);
    while (pairs_[i].pair != ~uint64_t{0} && pairs_[i].pair != key)
      i = (i + 1) & (pairs_.size() - 1);
    pairs_[i] = {key, static_cast<uint32_t>(rank), merge.merged};
  }
  spec_.merges.clear();
  spec_.merges.shrink_to_fit();
}

const Bpe::PairSlot* Bpe::FindPair(int32_t left, int32_t right) const {
  const uint64_t key = PairKey(left, right);
  size_t i = (key * 0x9E3779B97F4A7C15ull >> 20) & (pairs_.size() - 1);
  while (pairs_[i].pair != key) {
    if (pairs_[i].pair == ~uint64_t{0}) return nullptr;
    i = (i + 1) & (pairs_.size() - 1);
  }
  return &pairs_[i];
}

// Not among the short words: the long table has long words and short ones with many ids.
void Bpe::EncodeMissed(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const {
  if (word.size() > WordCache::Long::kMaxBytes) {
    EncodeUncached(word, scratch, ids);
    return;
  }
  const auto key = WordCache::Long::MakeKey(word);
  WordCache::Long::Slot& slot = scratch->cache.long_words.At(key);
  if (slot.key == key) {
    ids->insert(ids->end(), slot.ids.data(), slot.ids.data() + slot.num_ids);
    return;
  }
  const size_t before = ids->size();
  EncodeUncached(word, scratch, ids);
  const auto added = std::span<const int32_t>(*ids).subspan(before);
  if (word.size() <= WordCache::Short::kMaxBytes && added.size() <= WordCache::Short::kMaxNumIds) {
    const auto short_key = WordCache::Short::MakeKey(word);
    WordCache::Short::Fill(&scratch->cache.short_words.At(short_key), short_key, added);
  } else if (added.size() <= WordCache::Long::kMaxNumIds) {
    WordCache::Long::Fill(&slot, key, added);
  }
}

void Bpe::EncodeUncached(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const {
  if (spec_.ignore_merges) {
    const auto it = spec_.ids.find(std::string(word));
    if (it != spec_.ids.end()) {
      ids->push_back(it->second);
      return;
    }
  }
  FillSymbols(word, scratch);
  if (scratch->symbols.size() <= kFew) {
    MergeFew(scratch);
  } else {
    MergeMany(scratch);
  }
  ids->insert(ids->end(), scratch->symbols.begin(), scratch->symbols.end());
}

void Bpe::FillSymbols(std::string_view word, Scratch* scratch) const {
  scratch->symbols.clear();
  bool in_unknown = false;
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      scratch->symbols.push_back(id);
      in_unknown = false;
    } else if (spec_.unknown_id >= 0) {
      if (!(in_unknown && spec_.fuse_unknown)) scratch->symbols.push_back(spec_.unknown_id);
      in_unknown = true;
    }
  }
}

// ranks[i]: rank of the pair (symbols[i], symbols[i + 1]). One merge moves the rest of the arrays
// down.
void Bpe::MergeFew(Scratch* scratch) const {
  std::vector<int32_t>& symbols = scratch->symbols;
  std::vector<uint32_t>& ranks = scratch->ranks;
  const auto rank_at = [&](size_t i) {
    const PairSlot* pair = FindPair(symbols[i], symbols[i + 1]);
    return pair == nullptr ? kNoRank : pair->rank;
  };
  ranks.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) ranks.push_back(rank_at(i));
  while (!ranks.empty()) {
    const auto lowest = std::min_element(ranks.begin(), ranks.end());  // the leftmost of equals
    if (*lowest == kNoRank) return;
    const auto i = static_cast<size_t>(lowest - ranks.begin());
    symbols[i] = FindPair(symbols[i], symbols[i + 1])->merged;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    ranks.erase(lowest);
    if (i < ranks.size()) ranks[i] = rank_at(i);
    if (i > 0) ranks[i - 1] = rank_at(i - 1);
  }
}

// A doubly linked list of symbols and a heap of pairs. A pair that has changed since it was pushed
// is passed over when it comes up. A symbol's place holds -1 once its left neighbour has swallowed
// it.
void Bpe::MergeMany(Scratch* scratch) const {
  std::vector<int32_t>& symbols = scratch->symbols;
  std::vector<int32_t>& next = scratch->next;
  std::vector<int32_t>& previous = scratch->previous;
  std::vector<Scratch::Candidate>& heap = scratch->heap;
  const auto count = static_cast<int32_t>(symbols.size());
  next.resize(symbols.size());
  previous.resize(symbols.size());
  heap.clear();
  const auto candidate = [&](int32_t left) -> const PairSlot* {
    const int32_t right = next[static_cast<size_t>(left)];
    if (right >= count) return nullptr;
    return FindPair(symbols[static_cast<size_t>(left)], symbols[static_cast<size_t>(right)]);
  };
  for (int32_t i = 0; i < count; ++i) {
    next[static_cast<size_t>(i)] = i + 1;
    previous[static_cast<size_t>(i)] = i - 1;
  }
  for (int32_t i = 0; i < count; ++i) {
    const PairSlot* pair = candidate(i);
    if (pair != nullptr) heap.push_back({pair->rank, static_cast<uint32_t>(i), pair->merged});
  }
  std::make_heap(heap.begin(), heap.end(), Later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), Later);
    const Scratch::Candidate top = heap.back();
    heap.pop_back();
    const auto left = static_cast<int32_t>(top.position);
    if (symbols[top.position] < 0) continue;
    const PairSlot* pair = candidate(left);
    if (pair == nullptr || pair->rank != top.rank) continue;
    const int32_t right = next[top.position];
    symbols[top.position] = top.merged;
    symbols[static_cast<size_t>(right)] = -1;
    next[top.position] = next[static_cast<size_t>(right)];
    if (next[top.position] < count) previous[static_cast<size_t>(next[top.position])] = left;
    for (const int32_t changed : {previous[top.position], left}) {
      if (changed < 0) continue;
      const PairSlot* made = candidate(changed);
      if (made == nullptr) continue;
      heap.push_back({made->rank, static_cast<uint32_t>(changed), made->merged});
      std::push_heap(heap.begin(), heap.end(), Later);
    }
  }
  std::erase(symbols, -1);
}

}  // namespace breakeven
