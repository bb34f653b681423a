// Pure.
#include "launch/report/report_page.h"

#include <map>
#include <string_view>

#include "launch/report/report_assets.h"
#include "launch/report/report_json.h"
#include "launch/report/report_text.h"

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

std::string FormatReportPage(const StudyReport& report) {
  const std::string data = EscapeJsonForScript(
      FormatReportJson(report, {.max_flips = 5000, .max_text_bytes = 4000, .indent = -1}));
  const std::string title = EscapeHtml(report.title);
  const std::string sentence = EscapeHtml(HeadlineSentence(report));
  const std::map<std::string_view, std::string_view> parts = {
      {"title", title},          {"sentence", sentence},     {"style", ReportStyle()},
      {"chart", ChartLibrary()}, {"script", ReportScript()}, {"data", data}};
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
