#include "data_pipeline/tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "comm/base/random.h"

namespace breakeven {
namespace {

using Ids = std::vector<int32_t>;
using ::testing::ElementsAre;

// Ids 0.. for the letters of `alphabet`, then one for each merge.
BpeSpec Spec(const std::string& alphabet,
             const std::vector<std::pair<std::string, std::string>>& merges) {
  BpeSpec spec;
  for (const char c : alphabet)
    spec.ids.emplace(std::string(1, c), static_cast<int32_t>(spec.ids.size()));
  for (const auto& [left, right] : merges) {
    const auto id = static_cast<int32_t>(spec.ids.size());
    spec.ids.emplace(left + right, id);
    spec.merges.push_back({spec.ids.at(left), spec.ids.at(right), spec.ids.at(left + right)});
  }
  return spec;
}

Ids Encode(const Bpe& bpe, const std::string& word) {
  Bpe::Scratch scratch;
  Ids ids;
  bpe.EncodeWord(word, &scratch, &ids);
  return ids;
}

// The definition: as long as any pair has a rule, apply the rule of lowest rank to its leftmost pair.
Ids ByDefinition(const BpeSpec& spec, const std::string& word) {
  std::map<std::pair<int32_t, int32_t>, std::pair<size_t, int32_t>> rules;
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    rules[{spec.merges[rank].left, spec.merges[rank].right}] = {rank, spec.merges[rank].merged};
  }
  Ids ids;
  for (const char c : word) ids.push_back(spec.ids.at(std::string(1, c)));
  for (;;) {
    size_t best_rank = spec.merges.size(), at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto rule = rules.find({ids[i], ids[i + 1]});
      if (rule == rules.end() || rule->second.first >= best_rank) continue;
      best_rank = rule->second.first;
      at = i;
    }
    if (best_rank == spec.merges.size()) return ids;
    ids[at] = rules.at({ids[at], ids[at + 1]}).second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Bpe, LowestRankFirstThenLeftmost) {
  const Bpe bpe(Spec("abc", {{"b", "c"}, {"a", "b"}, {"ab", "ab"}}));
  EXPECT_THAT(Encode(bpe, "abc"), ElementsAre(0, 3));
  EXPECT_THAT(Encode(bpe, "ababa"), ElementsAre(5, 0));
  EXPECT_THAT(Encode(bpe, "ababcab"), ElementsAre(4, 0, 3, 4));
}

TEST(Bpe, OfTwoRulesForAPairTheLaterCounts) {
  BpeSpec spec = Spec("abc", {{"a", "b"}, {"b", "c"}});
  spec.merges.push_back(spec.merges[0]);
  EXPECT_THAT(Encode(Bpe(spec), "abc"), ElementsAre(0, 4));
}

// Short words go through an array, long ones through a heap: both must be the definition. Rules are random: made of
// what earlier rules made, so that chains, overlaps and runs of one letter come up.
TEST(Bpe, EqualsTheDefinitionAtEveryLength) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    std::vector<std::string> pieces = {"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    for (uint64_t i = 0; merges.size() < 25; ++i) {
      const std::string left = pieces[RandomBits(seed, 1, 2 * i) % pieces.size()];
      const std::string right = pieces[RandomBits(seed, 1, 2 * i + 1) % pieces.size()];
      if (std::find(pieces.begin(), pieces.end(), left + right) != pieces.end()) continue;
      merges.emplace_back(left, right);
      pieces.push_back(left + right);
    }
    const BpeSpec spec = Spec("abc", merges);
    const Bpe bpe(spec);
    Bpe::Scratch scratch;
    for (uint64_t length = 1; length < 300; length += length < 60 ? 1 : 17) {
      std::string word;
      for (uint64_t i = 0; i < length; ++i)
        word += "abc"[RandomBits(seed, 2 + length, i) % (1 + seed % 3)];
      const Ids expected = ByDefinition(spec, word);
      for (const char* again : {"first", "from the cache"}) {
        Ids ids;
        bpe.EncodeWord(word, &scratch, &ids);
        ASSERT_EQ(ids, expected) << word << ", seed " << seed << ", " << again;
      }
    }
  }
}

// More different words than the cache has slots, each seen again: a displaced word is computed anew, never mixed up.
TEST(Bpe, DisplacedWordsComeOutTheSame) {
  const BpeSpec spec = Spec("0123456789", {{"1", "2"}, {"3", "4"}, {"12", "34"}, {"5", "5"}});
  const Bpe bpe(spec);
  Bpe::Scratch scratch;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 60'000; ++i) {
      const std::string word =
          std::to_string(i * 12'347LL % 1'000'000'007) + (i % 3 == 0 ? "1234512345512" : "");
      Ids ids;
      bpe.EncodeWord(word, &scratch, &ids);
      if (i % 50 == 0) {
        ASSERT_EQ(ids, ByDefinition(spec, word)) << word;
      }
    }
  }
}

TEST(Bpe, KeysOfAllShortLengthsDiffer) {
  // Zero bytes at the end must not make two words one.
  std::string word;
  std::vector<WordCache::Short::Key> keys;
  for (size_t length = 1; length <= WordCache::Short::kMaxBytes; ++length) {
    word.push_back('\0');
    keys.push_back(WordCache::Short::MakeKey(word));
    std::string other = word;
    for (size_t i = 0; i < length; ++i) {
      other[i] = 'x';
      keys.push_back(WordCache::Short::MakeKey(other));
      other[i] = '\0';
    }
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < i; ++j) ASSERT_NE(keys[i], keys[j]) << i << " and " << j;
  }
}

TEST(Bpe, MapsPrintableCharactersToBytes) {
  bool mapped = false;
  EXPECT_EQ(MappedBytes("ĠaĊ", &mapped), " a\n");
  EXPECT_TRUE(mapped);
  EXPECT_EQ(MappedBytes("Ã©", &mapped), "é");
  EXPECT_TRUE(mapped);
  EXPECT_EQ(MappedBytes("a b", &mapped), "a b") << "the blank is not in the alphabet: all stays";
  EXPECT_FALSE(mapped);
  EXPECT_EQ(MappedBytes("▁x", &mapped), "▁x");
  EXPECT_FALSE(mapped);
}

}  // namespace
}  // namespace breakeven
