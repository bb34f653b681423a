// What the parity tests in Python reach the template engine and the example renderer through: a JSON request on each line
// of standard input, a JSON answer on each line of standard output ({"ok": …} or {"error": message, "kind": exit code}).
//
//   {"op": "render", "source": …, "variables": {…}, "options": {"trim_blocks": …, …}}
//   {"op": "chat", "source": …, "variables": {…}}        with transformers' options
//   {"op": "names", "source": …, "options": {…}}         the names a template needs
//   {"op": "literal", "text": …}                         Python's ast.literal_eval
//   {"op": "json", "text": …}                            parsed and written again
//   {"op": "documents", "path": …, "format": …}          [[line, fields], …]
//   {"op": "example", "task": {…}, "prompt": {…}, "chat": {…}, "document": {…}, "shots": [{…}, …]}
#include <iostream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/document.h"
#include "data_pipeline/example_renderer.h"
#include "data_pipeline/template/template.h"

namespace breakeven {
namespace {

std::string Text(const Dict& request, const char* key) {
  const Value* value = request.Find(key);
  const auto* text = value == nullptr ? nullptr : value->get_if<std::string>();
  return text == nullptr ? "" : *text;
}

Dict Fields(const Dict& request, const char* key) {
  const Value* value = request.Find(key);
  const auto* fields = value == nullptr ? nullptr : value->get_if<Dict>();
  return fields == nullptr ? Dict() : *fields;
}

void Flag(const Dict& options, const char* key, bool& flag) {
  const Value* value = options.Find(key);
  if (value != nullptr && value->is<bool>()) flag = *value->get_if<bool>();
}

TemplateOptions Options(const Dict& request) {
  const Dict given = Fields(request, "options");
  TemplateOptions options;
  Flag(given, "trim_blocks", options.trim_blocks);
  Flag(given, "lstrip_blocks", options.lstrip_blocks);
  Flag(given, "keep_trailing_newline", options.keep_trailing_newline);
  Flag(given, "strict_undefined", options.strict_undefined);
  Flag(given, "chat_functions", options.chat_functions);
  return options;
}

// A field that is given as a string replaces the config's default.
void Set(const Dict& fields, const char* key, std::string& field) {
  if (fields.Find(key) != nullptr) field = Text(fields, key);
}

void Set(const Dict& fields, const char* key, std::vector<std::string>& field) {
  const Value* value = fields.Find(key);
  if (value == nullptr) return;
  field.clear();
  for (const Value& item : *value->get_if<List>()) field.push_back(*item.get_if<std::string>());
}

Value Example(const Dict& request) {
  const Dict task_fields = Fields(request, "task");
  TaskConfig task;
  task.name = "parity";
  Set(task_fields, "output_type", task.output_type);
  Set(task_fields, "doc_to_text", task.doc_to_text);
  Set(task_fields, "doc_to_target", task.doc_to_target);
  Set(task_fields, "doc_to_choice", task.doc_to_choice);
  const Dict prompt_fields = Fields(request, "prompt");
  PromptConfig prompt;
  Set(prompt_fields, "description", prompt.description);
  Set(prompt_fields, "system", prompt.system);
  prompt.target_delimiter = task.target_delimiter;
  prompt.fewshot_delimiter = task.fewshot_delimiter;
  Set(prompt_fields, "target_delimiter", *prompt.target_delimiter);
  Set(prompt_fields, "fewshot_delimiter", *prompt.fewshot_delimiter);
  Set(prompt_fields, "gen_prefix", prompt.gen_prefix);
  Set(prompt_fields, "end_of_target", prompt.end_of_target);
  Flag(prompt_fields, "apply_chat_template", prompt.apply_chat_template);
  Flag(prompt_fields, "fewshot_as_multiturn", prompt.fewshot_as_multiturn);
  const Dict chat = Fields(request, "chat");
  const ExampleRenderer renderer(
      task, prompt,
      {Text(chat, "chat_template"), Text(chat, "bos_token"), Text(chat, "eos_token")});
  const Document document{Fields(request, "document"), 1};
  std::vector<Document> shots;
  if (const Value* given = request.Find("shots")) {
    for (const Value& shot : *given->get_if<List>())
      shots.push_back({*shot.get_if<Dict>(), shots.size() + 2});
  }
  std::vector<const Document*> pointers;
  for (const Document& shot : shots) pointers.push_back(&shot);
  List choices;
  for (std::string& choice : renderer.Choices(document)) choices.emplace_back(std::move(choice));
  Dict answer;
  answer.Set("context", renderer.Context(document, pointers));
  answer.Set("delimiter", renderer.delimiter());
  answer.Set("target", renderer.Target(document));
  answer.Set("continuation", renderer.TrainingContinuation(document));
  if (!choices.empty()) answer.Set("gold", renderer.GoldIndex(document));
  answer.Set("choices", std::move(choices));
  return answer;
}

Value Documents(const Dict& request) {
  DataFileConfig file;
  file.path = Text(request, "path");
  Set(request, "format", file.format);
  List documents;
  for (const Document& document : ReadDocuments(file, 2)) {
    documents.emplace_back(
        List{Value(static_cast<int64_t>(document.line)), Value(document.fields)});
  }
  return documents;
}

Value Answer(const Dict& request) {
  const std::string op = Text(request, "op");
  const std::string source = Text(request, "source");
  if (op == "render")
    return Template(source, "t", Options(request)).Render(Fields(request, "variables"));
  if (op == "chat")
    return Template(source, "t", ChatTemplateOptions()).Render(Fields(request, "variables"));
  if (op == "names") {
    List names;
    for (std::string& name : Template(source, "t", Options(request)).FreeNames())
      names.emplace_back(std::move(name));
    return names;
  }
  if (op == "literal") return ParsePythonLiteral(Text(request, "text"), "literal");
  if (op == "json") return ParseJson(Text(request, "text"), "json");
  if (op == "documents") return Documents(request);
  if (op == "example") return Example(request);
  throw Error(ErrorKind::kUsage, "unknown op '" + op + "'");
}

int Main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    Dict answer;
    try {
      const Value request = ParseJson(line, "request");
      answer.Set("ok", Answer(*request.get_if<Dict>()));
    } catch (const Error& error) {
      answer.Set("error", error.what());
      answer.Set("kind", int64_t{error.exit_code()});
    }
    std::cout << ToJson(answer) << "\n" << std::flush;
  }
  return 0;
}

}  // namespace
}  // namespace breakeven

int main() { return breakeven::Main(); }
