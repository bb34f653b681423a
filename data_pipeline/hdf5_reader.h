// One HDF5 token dataset file, opened and checked. TokenDataset joins several of them.
#ifndef BREAKEVEN_DATA_PIPELINE_HDF5_READER_H_
#define BREAKEVEN_DATA_PIPELINE_HDF5_READER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "data_pipeline/hdf5_layout.h"
#include "data_pipeline/token_dataset.h"

namespace breakeven {

// Thread-safe. Errors as TokenDataset's.
class TokenFile {
 public:
  // Checks layout, types, shapes and offsets against the file's size, the content hash, and that
  // the index arrays agree with one another. Tokens are checked when they are first touched.
  TokenFile(const std::string& path, const TokenDatasetOptions& options);
  ~TokenFile();
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;

  const TokenDatasetInfo& info() const;
  // Valid as long as this object.
  const TokenIndexView& index() const;
  int64_t num_targets() const;
  void ReadTokens(int64_t example, std::span<int64_t> out) const;
  // Hashes every block of tokens, those too that were verified before.
  void VerifyTokens() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_HDF5_READER_H_
