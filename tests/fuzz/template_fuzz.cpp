// A template and, behind a NUL, the JSON of its document; under both settings.
#include <string>
#include <vector>

#include "data_pipeline/template/template.h"
#include "tests/fuzz/fuzz_input.h"

namespace breakeven {
namespace {

// The names that task files and chat templates know.
constexpr char kDocument[] =
    R"({"question": "Which colour?\n", "choices": ["red", "blue", "한"], "answer": 1, "f": -0.5,
        "big": 9223372036854775807, "none": null, "yes": true, "d": {"k": "v", "n": [1, [2]]},
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"},
                     {"role": "assistant", "content": " Hello "}],
        "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "tools": null})";

void Use(std::string_view source, const Dict& document, const TemplateOptions& options) {
  const Template parsed(source, "t", options);
  parsed.FreeNames();
  ParsePythonLiteral(parsed.Render(document), "t");
}

}  // namespace
}  // namespace breakeven

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace breakeven;
  const std::vector<std::string_view> parts = CutAtNuls(data, size, 2);
  ExpectAnswer([&] {
    const Value value = ParseJson(parts[1].empty() ? kDocument : parts[1], "document");
    const Dict* document = value.get_if<Dict>();
    if (document == nullptr) return;
    BE_CHECK(ToJson(ParseJson(ToJson(value), "again")) == ToJson(value), ToJson(value));
    ExpectAnswer([&] { Use(parts[0], *document, TemplateOptions()); });
    ExpectAnswer([&] { Use(parts[0], *document, ChatTemplateOptions()); });
  });
  return 0;
}
