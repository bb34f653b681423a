// Pure. "Did you mean …?": the known name nearest to one that is not known.
#ifndef BREAKEVEN_COMM_BASE_SUGGEST_H_
#define BREAKEVEN_COMM_BASE_SUGGEST_H_

#include <span>
#include <string>
#include <string_view>

namespace breakeven {

// The name in `known` with the fewest edits (insert, delete, replace, swap of neighbours; upper and
// lower case count as equal) from `name`; "" when none is within a third of the longer one's
// length. Ties: the first. Bytes, not code points.
std::string NearestName(std::string_view name, std::span<const std::string> known);

// "; did you mean 'strip'?" for the end of a message, or "" when no name is near.
std::string DidYouMean(std::string_view name, std::span<const std::string> known);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_SUGGEST_H_
