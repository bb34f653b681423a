// Pure.
#include "launch/report/page_parts.h"

#include <map>

#include "launch/report/report_assets.h"

namespace breakeven {
namespace {

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// JSON inside a script element: no "<" at all, so neither "</script" nor "<!--" can end or change it.
std::string EscapeJsonForScript(std::string_view json) {
  std::string escaped;
  escaped.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      escaped += "\\u003c";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string FillPage(const PageParts& given) {
  const std::string title = EscapeHtml(given.title);
  const std::string sentence = EscapeHtml(given.sentence);
  const std::string data = EscapeJsonForScript(given.json);
  const std::map<std::string_view, std::string_view> parts = {{"title", title},
                                                              {"sentence", sentence},
                                                              {"style", ReportStyle()},
                                                              {"chart", ChartLibrary()},
                                                              {"kit", PageKit()},
                                                              {"script", given.script},
                                                              {"data", data}};
  const std::string_view page = ReportTemplate();
  std::string text;
  size_t at = 0;
  // In one pass: what is put in is not looked at again.
  for (size_t open; (open = page.find("{{", at)) != std::string_view::npos;) {
    const size_t close = page.find("}}", open);
    text += page.substr(at, open - at);
    text += parts.at(page.substr(open + 2, close - open - 2));
    at = close + 2;
  }
  text += page.substr(at);
  return text;
}

}  // namespace breakeven
