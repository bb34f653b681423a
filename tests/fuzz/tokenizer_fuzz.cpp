// A model folder's tokenizer: tokenizer.json, tokenizer_config.json and a text, cut at NULs.
#include <string>
#include <vector>

#include "data_pipeline/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

void Use(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const std::vector<int32_t> ids = tokenizer.Encode(text, special);
    for (const int32_t id : ids) {
      BE_CHECK(id >= 0 && id < tokenizer.vocab_size(), std::to_string(id));
    }
    tokenizer.Decode(ids, special);
  }
}

}  // namespace
}  // namespace breakeven

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace breakeven;
  static const TempFolder folder;
  const std::vector<std::string_view> parts = CutAtNuls(data, size, 3);
  WriteInput(folder / "tokenizer.json", parts[0]);
  WriteInput(folder / "tokenizer_config.json", parts[1].empty() ? "{}" : parts[1]);
  ExpectAnswer([&] {
    const auto tokenizer = Tokenizer::Load(folder.path());
    Use(*tokenizer, "the hat\n in 12 \xED\x95\x9C <s>");
    Use(*tokenizer, parts[2]);
  });
  return 0;
}
