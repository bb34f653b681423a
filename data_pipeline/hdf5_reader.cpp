#include "data_pipeline/hdf5_reader.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/hdf5_container.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const std::string& path, const std::string& message) {
  throw Error(ErrorKind::kBadData, path + ": " + message);
}

constexpr const char* kRemedy =
    "; the file was changed after it was written, or damaged: copy it again or rerun `breakeven "
    "prepare`";

// The arrays point at one another: from here on nothing reads outside of them.
void CheckIndex(const std::string& path, const TokenIndexView& index) {
  const size_t num_examples = index.num_targets.size();
  const auto bad = [&](const char* what, size_t example) {
    Fail(path, std::string(what) + " of example " + std::to_string(example) +
                   " contradict the other arrays; the file was not written by breakeven");
  };
  if (index.example_offsets.front() != 0 ||
      index.example_offsets.back() != static_cast<uint64_t>(index.num_tokens)) {
    bad("/example_offsets", 0);
  }
  if (index.target_span_offsets.front() != 0 ||
      index.target_span_offsets.back() != index.target_spans.size()) {
    bad("/target_span_offsets", 0);
  }
  for (size_t i = 0; i < num_examples; ++i) {
    if (index.example_offsets[i] >= index.example_offsets[i + 1]) bad("/example_offsets", i);
    const uint64_t length = index.example_offsets[i + 1] - index.example_offsets[i];
    const uint64_t first = index.target_span_offsets[i];
    const uint64_t last = index.target_span_offsets[i + 1];
    if (first > last || last > index.target_spans.size()) bad("/target_span_offsets", i);
    const auto spans = index.target_spans.subspan(first, last - first);
    uint32_t end = 0;
    for (const TargetSpan& span : spans) {
      if (span.begin < end || span.begin >= span.end || span.end > length) {
        bad("/target_spans", i);
      }
      end = span.end;
    }
    if (CountTargets(spans) != index.num_targets[i]) bad("/num_targets", i);
  }
}

}  // namespace

struct TokenFile::Impl {
  Impl(const std::string& file, const TokenDatasetOptions& file_options)
      : path(file), options(file_options), container(file, file_options.use_mmap) {}

  std::string path;
  TokenDatasetOptions options;
  Hdf5Container container;
  TokenDatasetInfo info;
  TokenIndexView index;
  int64_t token_bytes = 2;
  int64_t num_targets = 0;
  // One flag a block. Two threads may verify the same block at the same time: both find the same.
  std::unique_ptr<std::atomic<bool>[]> verified;

  int64_t tokens_per_block() const { return kBlockBytes / token_bytes; }

  void LoadIndex() {
    Hdf5Container& c = container;
    index.example_offsets = c.Array<uint64_t>("example_offsets", "uint64");
    index.target_spans = c.Array<TargetSpan>("target_spans", "uint32", 2);
    index.target_span_offsets = c.Array<uint64_t>("target_span_offsets", "uint64");
    index.num_targets = c.Array<uint32_t>("num_targets", "uint32");
    index.example_ids = c.Array<uint64_t>("example_ids", "uint64");
    index.groups = c.Array<uint64_t>("groups", "uint64");
    index.block_hashes = c.Array<uint64_t>("block_hashes", "uint64");
    index.num_tokens = c.OpenTokens(token_bytes);
    const size_t num_examples = index.num_targets.size();
    if (num_examples == 0) {
      Fail(path, "the dataset holds no examples; rerun `breakeven prepare` on data that has some");
    }
    const auto expect = [&](const char* name, size_t found, size_t expected) {
      if (found == expected) return;
      Fail(path, std::string("/") + name + ": expected " + std::to_string(expected) +
                     " elements, found " + std::to_string(found));
    };
    expect("example_offsets", index.example_offsets.size(), num_examples + 1);
    expect("target_span_offsets", index.target_span_offsets.size(), num_examples + 1);
    expect("example_ids", index.example_ids.size(), num_examples);
    expect("groups", index.groups.size(), num_examples);
    const int64_t blocks = (index.num_tokens + tokens_per_block() - 1) / tokens_per_block();
    expect("block_hashes", index.block_hashes.size(), static_cast<size_t>(blocks));
  }

  void Open() {
    const std::map<std::string, std::string> attributes = container.Attributes();
    info = InfoFromAttributes(attributes, path);
    info.content_hash = attributes.at("content_hash");
    if (info.vocab_size <= 0 || info.vocab_size > (int64_t{1} << 31)) {
      Fail(path,
           "attribute 'vocab_size': " + std::to_string(info.vocab_size) + " is no vocabulary size");
    }
    token_bytes = TokenBytes(info.vocab_size);
    LoadIndex();
    const std::string hash = ContentHash(attributes, index, token_bytes);
    if (hash != info.content_hash) {
      Fail(path, "content hash: expected " + info.content_hash + ", found " + hash + kRemedy);
    }
    CheckIndex(path, index);
    for (const uint32_t count : index.num_targets) num_targets += count;
    if (num_targets == 0) Fail(path, "no example has a target token: there is nothing to learn");
    verified = std::make_unique<std::atomic<bool>[]>(index.block_hashes.size());
  }

  template <typename Token>
  void CheckIds(std::span<const Token> tokens, int64_t first) const {
    Token largest = 0;
    for (const Token token : tokens) largest = std::max(largest, token);
    if (static_cast<int64_t>(largest) < info.vocab_size) return;
    const auto at = std::find_if(tokens.begin(), tokens.end(), [this](Token token) {
      return static_cast<int64_t>(token) >= info.vocab_size;
    });
    const int64_t position = first + (at - tokens.begin());
    const auto next = std::upper_bound(index.example_offsets.begin(), index.example_offsets.end(),
                                       static_cast<uint64_t>(position));
    Fail(path, "/tokens: token id " + std::to_string(*at) + " at " + std::to_string(position) +
                   " (example " + std::to_string(next - index.example_offsets.begin() - 1) +
                   ") is not below the vocabulary size " + std::to_string(info.vocab_size));
  }

  void VerifyBlock(int64_t block) const {
    const int64_t first = block * tokens_per_block();
    const int64_t count = std::min(tokens_per_block(), index.num_tokens - first);
    std::vector<char> buffer;
    const char* bytes = container.TokenBlock(first, count, buffer);
    const uint64_t hash = Hash64(bytes, static_cast<size_t>(count * token_bytes));
    const uint64_t expected = index.block_hashes[static_cast<size_t>(block)];
    if (hash != expected) {
      Fail(path, "/tokens: block " + std::to_string(block) + " (tokens " + std::to_string(first) +
                     " to " + std::to_string(first + count - 1) + "): expected hash " +
                     HashHex(expected) + ", found " + HashHex(hash) + kRemedy);
    }
    const auto size = static_cast<size_t>(count);
    if (token_bytes == 2) {
      CheckIds<uint16_t>({reinterpret_cast<const uint16_t*>(bytes), size}, first);
    } else {
      CheckIds<uint32_t>({reinterpret_cast<const uint32_t*>(bytes), size}, first);
    }
    verified[static_cast<size_t>(block)].store(true, std::memory_order_release);
  }

  template <typename Token>
  void Widen(const char* bytes, int64_t first, std::span<int64_t> out) const {
    const auto* tokens = reinterpret_cast<const Token*>(bytes);
    if (!options.verify_tokens) CheckIds<Token>({tokens, out.size()}, first);
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<int64_t>(tokens[i]);
  }
};

TokenFile::TokenFile(const std::string& path, const TokenDatasetOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {
  impl_->Open();
}

TokenFile::~TokenFile() = default;

const TokenDatasetInfo& TokenFile::info() const { return impl_->info; }
const TokenIndexView& TokenFile::index() const { return impl_->index; }
int64_t TokenFile::num_targets() const { return impl_->num_targets; }

void TokenFile::ReadTokens(int64_t example, std::span<int64_t> out) const {
  const auto first =
      static_cast<int64_t>(impl_->index.example_offsets[static_cast<size_t>(example)]);
  const auto count = static_cast<int64_t>(out.size());
  if (impl_->options.verify_tokens) {
    const int64_t last_block = (first + count - 1) / impl_->tokens_per_block();
    for (int64_t block = first / impl_->tokens_per_block(); block <= last_block; ++block) {
      if (!impl_->verified[static_cast<size_t>(block)].load(std::memory_order_acquire)) {
        impl_->VerifyBlock(block);
      }
    }
  }
  std::vector<char> buffer;
  const char* bytes = impl_->container.TokenBlock(first, count, buffer);
  if (impl_->token_bytes == 2) {
    impl_->Widen<uint16_t>(bytes, first, out);
  } else {
    impl_->Widen<uint32_t>(bytes, first, out);
  }
}

void TokenFile::VerifyTokens() const {
  for (size_t block = 0; block < impl_->index.block_hashes.size(); ++block) {
    impl_->VerifyBlock(static_cast<int64_t>(block));
  }
}

}  // namespace breakeven
