// Pure. The turns of a prompt → its text, plain or through a model's chat template. The rules are lm-evaluation-harness's.
#ifndef BREAKEVEN_DATA_PIPELINE_PROMPT_MESSAGES_H_
#define BREAKEVEN_DATA_PIPELINE_PROMPT_MESSAGES_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/template/template.h"

namespace breakeven {

// What the model folder contributes to a prompt. Without a chat template set all to "".
struct ChatFormat {
  std::string chat_template;
  std::string bos_token;
  std::string eos_token;
};

// `delimiter` follows the content in plain prompts and in single-turn chats.
struct Message {
  std::string role;  // system | user | assistant
  std::string content;
  std::string delimiter;
};

// A plain prompt.
std::string Concatenate(std::span<const Message> messages);

// Has neither white space at the joint? false when `head` is empty.
bool NeedsDelimiter(std::string_view head, std::string_view tail);
// Both with `delimiter` between them where NeedsDelimiter; one alone where the other is empty.
std::string JoinDelimited(const std::string& head, const std::string& tail,
                          const std::string& delimiter);

// Thread-safe after construction.
class ChatRenderer {
 public:
  // `multiturn` false: shots and question become one user turn. `where` starts messages.
  ChatRenderer(const ChatFormat& chat, bool multiturn, const std::string& where);

  // Ends where the answer starts: behind the generation prompt, or behind the last message where that is the
  // assistant's own (transformers' continue_final_message).
  std::string Render(std::vector<Message> messages) const;

 private:
  ChatFormat chat_;
  bool multiturn_;
  Template template_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_PROMPT_MESSAGES_H_
