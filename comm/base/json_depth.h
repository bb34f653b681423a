// How deep a JSON text nests, known before it is parsed.
#ifndef BREAKEVEN_COMM_BASE_JSON_DEPTH_H_
#define BREAKEVEN_COMM_BASE_JSON_DEPTH_H_

#include <cstdint>
#include <string_view>

namespace breakeven {

// Deeper than any file that programs of the field write.
inline constexpr int64_t kMaxJsonDepth = 200;

// For JSON of files that others made: nlohmann-json parses without recursion, but prints, copies
// and compares with a call for each level, so that a few hundred kilobytes of '[' would end the
// process. Error(kBadData) that begins with `where`. What is no JSON is left to the parser.
void CheckJsonDepth(std::string_view json, std::string_view where);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_JSON_DEPTH_H_
