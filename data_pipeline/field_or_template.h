// Pure. A line of a task file: the name of a field, or a template.
#ifndef BREAKEVEN_DATA_PIPELINE_FIELD_OR_TEMPLATE_H_
#define BREAKEVEN_DATA_PIPELINE_FIELD_OR_TEMPLATE_H_

#include <cstdint>
#include <set>
#include <string>

#include "data_pipeline/document.h"
#include "data_pipeline/template/template.h"

namespace breakeven {

// Thread-safe after construction. Errors: kUsage for a template that is wrong; kBadData, naming the document's line and
// `name`, for what depends on the document.
class FieldOrTemplate {
 public:
  // `name` is how messages call the line ("task.group_key").
  FieldOrTemplate(const std::string& source, const std::string& name);

  // The field that is named exactly as the line; nullptr: none, the line is a template. A line that is one bare word is
  // always the name of a field: a document without it is an error, for rendering would give the word itself.
  const Value* Field(const Document& document) const;
  // The field's value as it is, else the line rendered.
  Value Get(const Document& document) const;
  // The same as text; what is no text as JSON.
  std::string Text(const Document& document) const;
  // The line rendered, whatever the fields are called.
  std::string Render(const Dict& variables, uint64_t line) const;
  const std::string& name() const { return name_; }
  // Fields that the line may read: the names in its template, or the field that it is.
  std::set<std::string> Names() const;

 private:
  std::string source_;
  std::string name_;
  bool is_bare_word_;
  Template template_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_FIELD_OR_TEMPLATE_H_
