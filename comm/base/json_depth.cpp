#include "comm/base/json_depth.h"

#include <string>

#include "comm/base/error.h"

namespace breakeven {

void CheckJsonDepth(std::string_view json, std::string_view where) {
  int64_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) {
        throw Error(ErrorKind::kBadData,
                    std::string(where) + ": at byte " + std::to_string(i) +
                        " its JSON is nested deeper than " + std::to_string(kMaxJsonDepth) +
                        " levels, which no program that we read from writes. Copy or download the "
                        "file again.");
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace breakeven
