// Pure. Python's two ways of formatting: "%s of %d" % (a, b) and "{} of {:>3}".format(a, b).
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_FORMAT_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_FORMAT_H_

#include <string>
#include <string_view>

#include "data_pipeline/template/object.h"

namespace breakeven::jinja {

// `arguments`: a tuple for several, a dict for %(name)s, else the one argument. Conversions s r d i
// u f F e E g G x X o c %.
std::string FormatPercent(std::string_view text, const Object& arguments);

// str.format: automatic, numbered and named fields, .attribute and [item], !s !r, and nested format
// specs.
std::string FormatBraces(std::string_view text, const Arguments& arguments, Runtime& runtime);

// format(x, spec) for strings, integers, floats and booleans.
std::string FormatSpec(const Object& object, std::string_view spec);

// What both ways share: printf's number, and filling up to a width in code points.
struct NumberFormat {
  char type = 'd';
  bool plus = false, space = false, alternate = false;
  int precision = -1;
};
std::string FormatNumber(const Object& object, const NumberFormat& format);
std::string Pad(std::string text, size_t width, char align, std::string_view fill = " ");
// Reads digits at `position`; -1 when there are none. EvalError when absurdly large.
int ReadCount(std::string_view text, size_t& position);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_FORMAT_H_
