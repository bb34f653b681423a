// Pure.
#include "data_pipeline/prompt_messages.h"

#include <utility>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

// Marks the end of a message that is to be continued; its blank tells whether the template trims messages.
constexpr std::string_view kEndMark =
    "\xEF\xBF\xBC"
    "end of the message that goes on ";

bool EndsInSpace(std::string_view text) {
  size_t end = text.size();
  return unicode::IsSpace(unicode::Previous(text, end));
}

bool StartsWithSpace(std::string_view text) {
  size_t begin = 0;
  return unicode::IsSpace(unicode::Next(text, begin));
}

// Shots and question as one user turn; a last turn of the assistant stays one.
std::vector<Message> InOneTurn(std::vector<Message> messages) {
  const size_t first = messages.front().role == "system" ? 1 : 0;
  std::vector<Message> result(messages.begin(),
                              messages.begin() + static_cast<std::ptrdiff_t>(first));
  const bool continued = messages.back().role == "assistant";
  const size_t end = messages.size() - (continued ? 1 : 0);
  messages[end - 1].delimiter.clear();
  result.push_back({"user", Concatenate(std::span(messages).subspan(first, end - first)), ""});
  if (continued) result.push_back(messages.back());
  return result;
}

}  // namespace

std::string Concatenate(std::span<const Message> messages) {
  std::string text;
  for (const Message& message : messages) text += message.content + message.delimiter;
  return text;
}

bool NeedsDelimiter(std::string_view head, std::string_view tail) {
  return !head.empty() && !tail.empty() && !EndsInSpace(head) && !StartsWithSpace(tail);
}

std::string JoinDelimited(const std::string& head, const std::string& tail,
                          const std::string& delimiter) {
  return head + (NeedsDelimiter(head, tail) ? delimiter : "") + tail;
}

ChatRenderer::ChatRenderer(const ChatFormat& chat, bool multiturn, const std::string& where)
    : chat_(chat),
      multiturn_(multiturn),
      template_(chat.chat_template, where + "chat template of the model", ChatTemplateOptions()) {}

std::string ChatRenderer::Render(std::vector<Message> messages) const {
  if (!multiturn_) messages = InOneTurn(std::move(messages));
  const bool continued = messages.back().role == "assistant";
  if (continued) messages.back().content += kEndMark;
  List list;
  for (const Message& message : messages) {
    Dict turn;
    turn.Set("role", message.role);
    turn.Set("content", message.content);
    list.emplace_back(std::move(turn));
  }
  Dict variables;
  variables.Set("messages", std::move(list));
  variables.Set("add_generation_prompt", !continued);
  variables.Set("bos_token", chat_.bos_token);
  variables.Set("eos_token", chat_.eos_token);
  std::string text = template_.Render(variables);
  if (!continued) return text;
  const size_t end = text.rfind(unicode::Strip(kEndMark));
  if (end == std::string::npos) {
    throw Error(
        ErrorKind::kUsage,
        "gen_prefix: the model's chat template does not show the assistant's last message, so it "
        "cannot be gone on with; leave gen_prefix empty, or apply_chat_template false");
  }
  const bool trims = text.compare(end, kEndMark.size(), kEndMark) != 0;
  text.resize(end);
  return trims ? std::string(unicode::StripRight(text)) : text;
}

}  // namespace breakeven
