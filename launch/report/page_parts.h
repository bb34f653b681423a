// Pure. A page of one file: the template with its parts put in.
#ifndef BREAKEVEN_LAUNCH_REPORT_PAGE_PARTS_H_
#define BREAKEVEN_LAUNCH_REPORT_PAGE_PARTS_H_

#include <string>
#include <string_view>

namespace breakeven {

struct PageParts {
  std::string title;
  std::string sentence;
  std::string_view script;  // of report_assets.h
  std::string json;         // what it draws
};
// Title and sentence are escaped; the JSON is left without "<", so that no text of it ends its element.
std::string FillPage(const PageParts& parts);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_PAGE_PARTS_H_
