#include "data_pipeline/token_dataset.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "data_pipeline/hdf5_reader.h"
#include "data_pipeline/token_dataset_index.h"

namespace breakeven {
namespace {

bool IsIndex(const std::string& path) { return path.ends_with(kIndexSuffix); }

// Ends of the files' shares of `examples`: as many as fit, at least one each.
std::vector<size_t> CutIntoFiles(std::span<const TokenExample> examples, int64_t max_tokens) {
  std::vector<size_t> ends;
  int64_t tokens = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto length = static_cast<int64_t>(examples[i].tokens.size());
    if (max_tokens > 0 && tokens > 0 && tokens + length > max_tokens) {
      ends.push_back(i);
      tokens = 0;
    }
    tokens += length;
  }
  ends.push_back(examples.size());
  return ends;
}

std::string NumberedName(const std::string& name, size_t number, size_t count) {
  char numbers[40];
  std::snprintf(numbers, sizeof(numbers), "-%05zu-of-%05zu.h5", number, count);
  return name + numbers;
}

// What must be the same in every file of a set.
void CheckMember(const std::string& path, const TokenFile& file,
                 const TokenDatasetIndex::File& entry, const TokenDatasetInfo& set) {
  const auto fail = [&path](const std::string& what, const auto& expected, const auto& found) {
    throw Error(ErrorKind::kBadData, path + ": " + what + ": the index says " + expected +
                                         ", the file " + found +
                                         "; index and files are of different runs of `prepare`");
  };
  const TokenDatasetInfo& info = file.info();
  if (info.content_hash != entry.content_hash) {
    fail("content hash", entry.content_hash, info.content_hash);
  }
  if (info.tokenizer_fingerprint != set.tokenizer_fingerprint) {
    fail("tokenizer", set.tokenizer_fingerprint, info.tokenizer_fingerprint);
  }
  if (info.template_fingerprint != set.template_fingerprint) {
    fail("template", set.template_fingerprint, info.template_fingerprint);
  }
  const auto check = [&](const char* what, int64_t expected, int64_t found) {
    if (expected != found) fail(what, std::to_string(expected), std::to_string(found));
  };
  check("vocabulary", set.vocab_size, info.vocab_size);
  check("examples", entry.num_examples, static_cast<int64_t>(file.index().num_targets.size()));
  check("tokens", entry.num_tokens, file.index().num_tokens);
  check("target tokens", entry.num_targets, file.num_targets());
}

}  // namespace

std::string WriteTokenDatasetFiles(const std::string& folder, const std::string& name,
                                   TokenDatasetInfo& info, std::span<const TokenExample> examples,
                                   int64_t max_tokens_per_file) {
  const std::filesystem::path base(folder);
  const std::vector<size_t> ends = CutIntoFiles(examples, max_tokens_per_file);
  if (ends.size() == 1) {
    const std::string path = (base / (name + ".h5")).string();
    WriteTokenDataset(path, info, examples);
    return path;
  }
  TokenDatasetIndex index;
  size_t begin = 0;
  for (size_t number = 0; number < ends.size(); begin = ends[number++]) {
    const std::string file_name = NumberedName(name, number, ends.size());
    const auto part = examples.subspan(begin, ends[number] - begin);
    WriteTokenDataset((base / file_name).string(), info, part);
    TokenDatasetIndex::File entry{file_name, info.content_hash, 0, 0, 0};
    entry.num_examples = static_cast<int64_t>(part.size());
    for (const TokenExample& example : part) {
      entry.num_tokens += static_cast<int64_t>(example.tokens.size());
      for (const TargetSpan& span : example.targets) {
        entry.num_targets += span.end - std::max(span.begin, 1u);
      }
    }
    index.files.push_back(entry);
  }
  index.info = info;
  const std::string path = (base / (name + std::string(kIndexSuffix))).string();
  const std::string text = FormatTokenDatasetIndex(index);
  info.content_hash = index.info.content_hash;
  WriteFileDurably(path, text);
  return path;
}

struct TokenDataset::Impl {
  std::string path;
  TokenDatasetOptions options;
  TokenDatasetInfo info;
  std::vector<std::unique_ptr<TokenFile>> files;
  std::vector<int64_t> ends;  // of the files, in examples
  int64_t num_tokens = 0;
  int64_t num_targets = 0;

  struct Found {
    const TokenFile& file;
    size_t example;  // in the file
  };
  Found Find(int64_t example) const {
    BE_CHECK(example >= 0 && example < ends.back(),
             path + ": example " + std::to_string(example) + " of " + std::to_string(ends.back()));
    const auto next = std::upper_bound(ends.begin(), ends.end(), example);
    const auto number = static_cast<size_t>(next - ends.begin());
    const int64_t begin = number == 0 ? 0 : ends[number - 1];
    return {*files[number], static_cast<size_t>(example - begin)};
  }

  void Add(std::unique_ptr<TokenFile> file) {
    const auto count = static_cast<int64_t>(file->index().num_targets.size());
    ends.push_back((ends.empty() ? 0 : ends.back()) + count);
    num_tokens += file->index().num_tokens;
    num_targets += file->num_targets();
    files.push_back(std::move(file));
  }

  void Open() {
    if (!IsIndex(path)) {
      Add(std::make_unique<TokenFile>(path, options));
      info = files[0]->info();
      return;
    }
    const TokenDatasetIndex index = ParseTokenDatasetIndex(ReadFile(path), path);
    info = index.info;
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    for (const TokenDatasetIndex::File& entry : index.files) {
      const std::string file_path = (folder / entry.name).string();
      auto file = std::make_unique<TokenFile>(file_path, options);
      CheckMember(file_path, *file, entry, info);
      Add(std::move(file));
    }
  }
};

TokenDataset::TokenDataset(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenDataset::~TokenDataset() = default;

std::unique_ptr<TokenDataset> TokenDataset::Open(const std::string& path,
                                                 const TokenDatasetOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->options = options;
  impl->Open();
  return std::unique_ptr<TokenDataset>(new TokenDataset(std::move(impl)));
}

const TokenDatasetInfo& TokenDataset::info() const { return impl_->info; }
const std::string& TokenDataset::path() const { return impl_->path; }
int64_t TokenDataset::num_examples() const { return impl_->ends.back(); }
int64_t TokenDataset::num_tokens() const { return impl_->num_tokens; }
int64_t TokenDataset::num_targets() const { return impl_->num_targets; }

int64_t TokenDataset::example_tokens(int64_t example) const {
  const auto [file, i] = impl_->Find(example);
  const std::span<const uint64_t> offsets = file.index().example_offsets;
  return static_cast<int64_t>(offsets[i + 1] - offsets[i]);
}

int64_t TokenDataset::example_targets(int64_t example) const {
  const auto [file, i] = impl_->Find(example);
  return file.index().num_targets[i];
}

std::span<const TargetSpan> TokenDataset::target_spans(int64_t example) const {
  const auto [file, i] = impl_->Find(example);
  const std::span<const uint64_t> offsets = file.index().target_span_offsets;
  return file.index().target_spans.subspan(offsets[i], offsets[i + 1] - offsets[i]);
}

uint64_t TokenDataset::example_id(int64_t example) const {
  const auto [file, i] = impl_->Find(example);
  return file.index().example_ids[i];
}

uint64_t TokenDataset::example_group(int64_t example) const {
  const auto [file, i] = impl_->Find(example);
  return file.index().groups[i];
}

void TokenDataset::ReadTokens(int64_t example, std::span<int64_t> out) const {
  BE_CHECK(static_cast<int64_t>(out.size()) == example_tokens(example),
           std::to_string(out.size()) + " places for example " + std::to_string(example));
  const auto [file, i] = impl_->Find(example);
  file.ReadTokens(static_cast<int64_t>(i), out);
}

void TokenDataset::Verify() const {
  Impl fresh;
  fresh.path = impl_->path;
  fresh.options = impl_->options;
  fresh.Open();
  if (fresh.info.content_hash != impl_->info.content_hash) {
    throw Error(ErrorKind::kBadData, impl_->path +
                                         ": another dataset stands there since it was opened: "
                                         "content hash " +
                                         impl_->info.content_hash + " then, now " +
                                         fresh.info.content_hash);
  }
  for (const auto& file : fresh.files) file->VerifyTokens();
}

}  // namespace breakeven
