// What `breakeven inspect` can show; one function for each kind of thing.
#ifndef BREAKEVEN_LAUNCH_INSPECT_H_
#define BREAKEVEN_LAUNCH_INSPECT_H_

#include <string>

#include "launch/command.h"

namespace breakeven {

// Text for people, or JSON with options.json. Errors: kUsage when `path` is nothing that can be
// shown; kBadData as the readers of each format say.
std::string InspectDataset(const std::string& path, const CommandOptions& options);
// A Hugging Face folder or a checkpoint: architecture, tensors, tokenizer, training state; --verify
// compares every hash of a checkpoint's manifest. A folder with a tokenizer alone is shown as that.
std::string InspectModelFolder(const std::string& path, const CommandOptions& options);
// A run: its checkpoints, which are whole, and its last metrics.
std::string InspectRunFolder(const std::string& path, const CommandOptions& options);
// A config: which command it is for, resolved, each key with its meaning.
std::string InspectConfig(const std::string& path, const CommandOptions& options);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_INSPECT_H_
