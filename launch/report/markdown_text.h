// Pure. Texts of the user's data inside Markdown.
#ifndef BREAKEVEN_LAUNCH_REPORT_MARKDOWN_TEXT_H_
#define BREAKEVEN_LAUNCH_REPORT_MARKDOWN_TEXT_H_

#include <string>

namespace breakeven {

// Of one table cell or line: no markup, no HTML, no line breaks, at most 200 bytes.
std::string Plain(const std::string& text);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_MARKDOWN_TEXT_H_
