#include "data_pipeline/inspect_dataset.h"

#include <unistd.h>

#include <memory>

#include "launch/inspect.h"

namespace breakeven {

std::string InspectDataset(const std::string& path, const CommandOptions& options) {
  const std::unique_ptr<TokenDataset> dataset = TokenDataset::Open(path);
  if (options.verify) dataset->Verify();
  std::unique_ptr<Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) {
    tokenizer = Tokenizer::Load(ResolveModelPath(options.tokenizer));
    if (tokenizer->fingerprint() != dataset->info().tokenizer_fingerprint) {
      throw Error(ErrorKind::kBadData,
                  path + " was tokenised with tokenizer " + dataset->info().tokenizer_fingerprint +
                      ", but " + options.tokenizer + " holds " + tokenizer->fingerprint() +
                      "; give the folder that `prepare` was given");
    }
  }
  const DatasetDescription description =
      DescribeDataset(*dataset, tokenizer.get(), options.example);
  if (options.json) return DescriptionJson(description);
  std::string text = DescriptionText(description, isatty(STDOUT_FILENO) != 0);
  if (options.verify)
    text += "verified: every block and every table has the hash that the file says\n";
  if (tokenizer == nullptr) text += "(--tokenizer MODEL_FOLDER shows the example as text)\n";
  return text;
}

}  // namespace breakeven
