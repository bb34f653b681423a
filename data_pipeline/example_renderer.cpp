// Pure.
#include "data_pipeline/example_renderer.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/field_or_template.h"
#include "data_pipeline/template/template.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const std::string& key, const Document& document, const std::string& what) {
  throw Error(ErrorKind::kBadData,
              "document of line " + std::to_string(document.line) + ": " + key + ": " + what);
}

// Python's str.isdigit on what a template rendered; only what int() reads as well.
bool IsAsciiNumber(const std::string& text) {
  return !text.empty() && text.size() <= 18 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string AsText(const Value& value, const std::string& key, const Document& document) {
  if (const auto* text = value.get_if<std::string>()) return *text;
  Fail(key, document,
       "found " + std::string(value.type_name()) + " " + ToJson(value) +
           ", expected text. Convert it in the template: {{ field | string }}");
}

bool EndsInSpace(std::string_view text) {
  size_t end = text.size();
  return unicode::IsSpace(unicode::Previous(text, end));
}

bool StartsWithSpace(std::string_view text) {
  size_t begin = 0;
  return unicode::IsSpace(unicode::Next(text, begin));
}

// System text and description: the delimiter stands between them unless one has white space there
// (lm-evaluation-harness, maybe_delimit).
std::string JoinDelimited(const std::string& head, const std::string& tail,
                          const std::string& delimiter) {
  if (head.empty() || tail.empty()) return head + tail;
  return head + (EndsInSpace(head) || StartsWithSpace(tail) ? "" : delimiter) + tail;
}

// `delimiter` follows the content in plain prompts and in single-turn chats.
struct Message {
  std::string role;
  std::string content;
  std::string delimiter;
};

std::string Concatenate(std::span<const Message> messages) {
  std::string text;
  for (const Message& message : messages) text += message.content + message.delimiter;
  return text;
}

}  // namespace

struct ExampleRenderer::Impl {
  Impl(const TaskConfig& task, const PromptConfig& prompt_config, const ChatFormat& chat_format);

  std::optional<FieldOrTemplate> Line(const std::string& source, const std::string& key) const {
    if (source.empty()) return std::nullopt;
    return FieldOrTemplate(source, where + key);
  }

  std::vector<std::string> Choices(const Document& document) const;
  std::string Question(const Document& document) const;
  // The target as the harness sees it: an index into the choices, a text, or a list of either.
  Value RawTarget(const Document& document) const;
  std::string Answer(const Document& document) const;
  int64_t CheckedIndex(const Document& document, int64_t index, size_t num_choices) const;
  std::string RenderChat(std::vector<Message> messages) const;
  std::string Fingerprint(const TaskConfig& task) const;

  PromptConfig prompt;  // with the task's own lines where the prompt has none
  ChatFormat chat;
  std::string where;  // starts every message
  std::optional<FieldOrTemplate> description;
  std::optional<FieldOrTemplate> text;
  std::optional<FieldOrTemplate> target;
  std::optional<FieldOrTemplate> group;
  std::optional<FieldOrTemplate> end_of_target;
  std::vector<FieldOrTemplate> choices;
  std::optional<Template> chat_template;
  std::string delimiter;
  std::string fingerprint;
};

ExampleRenderer::Impl::Impl(const TaskConfig& task, const PromptConfig& prompt_config,
                            const ChatFormat& chat_format)
    : prompt(prompt_config),
      chat(chat_format),
      where("task " + task.name + ", prompt " + prompt_config.name + ": ") {
  if (prompt.doc_to_text.empty()) prompt.doc_to_text = task.doc_to_text;
  if (prompt.doc_to_target.empty()) prompt.doc_to_target = task.doc_to_target;
  if (prompt.doc_to_choice.empty()) prompt.doc_to_choice = task.doc_to_choice;
  description = Line(prompt.description, "description");
  text = Line(prompt.doc_to_text, "doc_to_text");
  target = Line(prompt.doc_to_target, "doc_to_target");
  group = Line(task.group_key, "group_key");
  end_of_target = Line(prompt.end_of_target, "end_of_target");
  for (const std::string& choice : prompt.doc_to_choice) {
    choices.emplace_back(choice, where + "doc_to_choice");
  }
  delimiter = prompt.target_delimiter;
  if (prompt.apply_chat_template) {
    if (chat.chat_template.empty()) {
      throw Error(ErrorKind::kUsage,
                  where +
                      "apply_chat_template is true but the model folder has no chat template "
                      "(neither chat_template.jinja nor chat_template in "
                      "tokenizer_config.json). Use an instruct model or set it false.");
    }
    chat_template.emplace(chat.chat_template, where + "chat template of the model",
                          ChatTemplateOptions());
    delimiter.clear();  // the generation prompt ends where the answer starts
  }
  fingerprint = Fingerprint(task);
}

std::string ExampleRenderer::Impl::Fingerprint(const TaskConfig& task) const {
  Hasher hasher;
  for (const std::string* piece :
       {&task.output_type, &prompt.description, &prompt.doc_to_text, &prompt.doc_to_target,
        &delimiter, &prompt.fewshot_delimiter, &prompt.system, &prompt.end_of_target}) {
    hasher.UpdateField(*piece);
  }
  hasher.UpdateField(std::to_string(prompt.doc_to_choice.size()));
  for (const std::string& choice : prompt.doc_to_choice) hasher.UpdateField(choice);
  if (chat_template.has_value()) {
    hasher.UpdateField(prompt.fewshot_as_multiturn ? "multiturn" : "single turn");
    hasher.UpdateField(chat.chat_template);
  }
  return hasher.Hex();
}

std::vector<std::string> ExampleRenderer::Impl::Choices(const Document& document) const {
  std::vector<std::string> texts;
  if (choices.size() == 1) {
    const std::string& key = choices[0].name();
    Value value = choices[0].Get(document);
    if (const auto* rendered = value.get_if<std::string>()) {
      value = ParsePythonLiteral(*rendered,
                                 "document of line " + std::to_string(document.line) + ": " + key);
    }
    const List* list = value.get_if<List>();
    if (list == nullptr) {
      Fail(key, document,
           "found " + std::string(value.type_name()) + " " + ToJson(value) +
               ", expected a list of choices: several lines, or one that renders to ['a', 'b']");
    }
    for (const Value& choice : *list) texts.push_back(AsText(choice, key, document));
    return texts;
  }
  for (const FieldOrTemplate& choice : choices) {
    texts.push_back(choice.Render(document.fields, document.line));
  }
  return texts;
}

std::string ExampleRenderer::Impl::Question(const Document& document) const {
  if (!text.has_value()) return "";
  const Value value = text->Get(document);
  const auto* question = value.get_if<std::string>();
  const bool is_index = value.is<int64_t>() || (question != nullptr && IsAsciiNumber(*question));
  if (is_index && !choices.empty()) {
    Fail(text->name(), document,
         "renders to the number " + (question != nullptr ? *question : ToJson(value)) +
             ", which lm-evaluation-harness takes for the index of a context (tasks with several "
             "contexts and one continuation). That kind of task is not supported; put a word "
             "before the number if it is meant as text");
  }
  return AsText(value, text->name(), document);
}

Value ExampleRenderer::Impl::RawTarget(const Document& document) const {
  if (!target.has_value()) return {};
  if (const Value* field = target->Field(document)) return *field;
  const std::string rendered = target->Render(document.fields, document.line);
  if (IsAsciiNumber(rendered) && !choices.empty()) {
    return static_cast<int64_t>(std::stoll(rendered));
  }
  if (rendered.size() >= 2 && rendered.front() == '[' && rendered.back() == ']') {
    try {
      return ParsePythonLiteral(rendered, target->name());
    } catch (const Error&) {
      return rendered;  // brackets of a text, as the harness takes them
    }
  }
  return rendered;
}

int64_t ExampleRenderer::Impl::CheckedIndex(const Document& document, int64_t index,
                                            size_t num_choices) const {
  if (index < 0 || static_cast<size_t>(index) >= num_choices) {
    Fail(target->name(), document,
         "the right choice is number " + std::to_string(index) + ", but there are " +
             std::to_string(num_choices) + " choices, counted from 0");
  }
  return index;
}

std::string ExampleRenderer::Impl::Answer(const Document& document) const {
  Value value = RawTarget(document);
  if (const List* list = value.get_if<List>()) {
    if (list->empty()) Fail(target->name(), document, "found an empty list of right answers");
    value = Value(list->front());
  }
  if (const auto* index = value.get_if<int64_t>(); index != nullptr && !choices.empty()) {
    const std::vector<std::string> texts = Choices(document);
    return texts[static_cast<size_t>(CheckedIndex(document, *index, texts.size()))];
  }
  return AsText(value, target.has_value() ? target->name() : where + "doc_to_target", document);
}

std::string ExampleRenderer::Impl::RenderChat(std::vector<Message> messages) const {
  if (!prompt.fewshot_as_multiturn) {
    const size_t first = messages.front().role == "system" ? 1 : 0;
    messages.back().delimiter.clear();
    const std::string all = Concatenate(std::span(messages).subspan(first));
    messages.resize(first);
    messages.push_back({"user", all, ""});
  }
  List list;
  for (const Message& message : messages) {
    Dict turn;
    turn.Set("role", message.role);
    turn.Set("content", message.content);
    list.emplace_back(std::move(turn));
  }
  Dict variables;
  variables.Set("messages", std::move(list));
  variables.Set("add_generation_prompt", true);
  variables.Set("bos_token", chat.bos_token);
  variables.Set("eos_token", chat.eos_token);
  return chat_template->Render(variables);
}

ExampleRenderer::ExampleRenderer(const TaskConfig& task, const PromptConfig& prompt,
                                 const ChatFormat& chat)
    : impl_(std::make_unique<Impl>(task, prompt, chat)) {}

ExampleRenderer::~ExampleRenderer() = default;

std::string ExampleRenderer::Context(const Document& document,
                                     std::span<const Document* const> shots) const {
  const PromptConfig& prompt = impl_->prompt;
  std::vector<Message> messages;
  std::string description;
  if (impl_->description.has_value()) {
    // A template only, as in the harness: a description is the same text for nearly every document.
    description = impl_->description->Render(document.fields, document.line);
  }
  const std::string system = JoinDelimited(prompt.system, description, prompt.fewshot_delimiter);
  if (!system.empty()) messages.push_back({"system", system, ""});
  for (const Document* shot : shots) {
    messages.push_back({"user", impl_->Question(*shot), prompt.target_delimiter});
    messages.push_back({"assistant", impl_->Answer(*shot), prompt.fewshot_delimiter});
  }
  messages.push_back({"user", impl_->Question(document), ""});
  if (impl_->chat_template.has_value()) return impl_->RenderChat(std::move(messages));
  return Concatenate(messages);
}

std::vector<std::string> ExampleRenderer::Choices(const Document& document) const {
  return impl_->Choices(document);
}

int64_t ExampleRenderer::GoldIndex(const Document& document) const {
  const std::vector<std::string> choices = impl_->Choices(document);
  Value value = impl_->RawTarget(document);
  if (const List* list = value.get_if<List>(); list != nullptr && !list->empty()) {
    value = Value(list->front());
  }
  if (const auto* index = value.get_if<int64_t>()) {
    return impl_->CheckedIndex(document, *index, choices.size());
  }
  const std::string key =
      impl_->target.has_value() ? impl_->target->name() : impl_->where + "doc_to_target";
  const std::string text = AsText(value, key, document);
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found == choices.end()) {
    std::string all;
    for (const std::string& choice : choices) all += (all.empty() ? "" : ", ") + ToJson(choice);
    Fail(key, document, "the right answer " + ToJson(text) + " is none of the choices: " + all);
  }
  return found - choices.begin();
}

std::string ExampleRenderer::Target(const Document& document) const {
  return impl_->Answer(document);
}

const std::string& ExampleRenderer::delimiter() const { return impl_->delimiter; }

std::string ExampleRenderer::TrainingContinuation(const Document& document) const {
  std::string text = impl_->delimiter + impl_->Answer(document);
  if (impl_->end_of_target.has_value()) {
    Dict variables = document.fields;
    variables.Set("bos_token", impl_->chat.bos_token);
    variables.Set("eos_token", impl_->chat.eos_token);
    text += impl_->end_of_target->Render(variables, document.line);
  }
  return text;
}

std::string ExampleRenderer::Group(const Document& document) const {
  if (!impl_->group.has_value()) return "";
  return impl_->group->Text(document);
}

const std::string& ExampleRenderer::fingerprint() const { return impl_->fingerprint; }

}  // namespace breakeven
