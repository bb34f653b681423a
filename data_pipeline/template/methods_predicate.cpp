// Pure. str.isdigit and its kin.
#include "data_pipeline/template/methods.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

// True when the text is not empty and all its code points are of the kind.
Object AllOf(const MethodCall& call, bool (*kind)(uint32_t)) {
  const std::string& text = *call.self.string();
  for (size_t position = 0; position < text.size();) {
    if (!kind(unicode::Next(text, position))) return Object(false);
  }
  return Object(!text.empty());
}

Object IsDigit(MethodCall& call) { return AllOf(call, unicode::IsDigit); }
Object IsDecimal(MethodCall& call) { return AllOf(call, unicode::IsDecimal); }
Object IsNumeric(MethodCall& call) { return AllOf(call, unicode::IsNumeric); }
Object IsAlpha(MethodCall& call) { return AllOf(call, unicode::IsAlpha); }
Object IsAlnum(MethodCall& call) { return AllOf(call, unicode::IsAlnum); }
Object IsSpace(MethodCall& call) { return AllOf(call, unicode::IsSpace); }

Object IsAscii(MethodCall& call) {
  for (char c : *call.self.string()) {
    if (static_cast<unsigned char>(c) >= 0x80) return Object(false);
  }
  return Object(true);
}
Object IsPrintable(MethodCall& call) {
  return Object(call.self.string()->empty() || *AllOf(call, unicode::IsPrintable).boolean());
}
Object IsLower(MethodCall& call) { return Object(call.runtime.ApplyTest("lower", call.self, {})); }
Object IsUpper(MethodCall& call) { return Object(call.runtime.ApplyTest("upper", call.self, {})); }

// Capitals only at the start of each run of cased letters, small letters only behind.
Object IsTitle(MethodCall& call) {
  const std::string& text = *call.self.string();
  bool after_cased = false;
  bool found = false;
  for (size_t position = 0; position < text.size();) {
    const uint32_t c = unicode::Next(text, position);
    if (unicode::IsUpper(c) || unicode::IsTitle(c)) {
      if (after_cased) return Object(false);
      after_cased = found = true;
    } else if (unicode::IsLower(c)) {
      if (!after_cased) return Object(false);
      found = true;
    } else {
      after_cased = false;
    }
  }
  return Object(found);
}

Object IsIdentifier(MethodCall& call) {
  const std::string& text = *call.self.string();
  for (size_t position = 0; position < text.size();) {
    const bool first = position == 0;
    const uint32_t c = unicode::Next(text, position);
    if (first ? !unicode::IsIdentifierStart(c) : !unicode::IsIdentifierPart(c))
      return Object(false);
  }
  return Object(!text.empty());
}

}  // namespace

std::span<const Method> StringPredicates() {
  static const std::vector<Method> kMethods = {
      {"isdigit", IsDigit, {}},     {"isdecimal", IsDecimal, {}},
      {"isnumeric", IsNumeric, {}}, {"isalpha", IsAlpha, {}},
      {"isalnum", IsAlnum, {}},     {"isspace", IsSpace, {}},
      {"isascii", IsAscii, {}},     {"isprintable", IsPrintable, {}},
      {"islower", IsLower, {}},     {"isupper", IsUpper, {}},
      {"istitle", IsTitle, {}},     {"isidentifier", IsIdentifier, {}},
  };
  return kMethods;
}

}  // namespace breakeven::jinja
