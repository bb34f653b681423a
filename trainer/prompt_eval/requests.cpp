// Pure.
#include "trainer/prompt_eval/requests.h"

#include <algorithm>
#include <map>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"
#include "data_pipeline/tokenizer/encode_pair.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorKind::kBadData, message); }

// The token before what nothing stands before; `why` opens the message where there is none.
int32_t NeedPrefix(const Tokenizer& tokenizer, const std::string& why) {
  const std::optional<int32_t> prefix = PrefixId(tokenizer);
  if (!prefix.has_value()) {
    Fail(why + "the tokenizer in '" + tokenizer.folder() +
         "' has neither a BOS nor an EOS token to put before a text (bos_token and eos_token of "
         "tokenizer_config.json)");
  }
  return *prefix;
}

// With the tokenizer's special tokens, none when the text starts with the BOS text already.
std::vector<int32_t> EncodePrompt(const Tokenizer& tokenizer, std::string_view text) {
  const std::string& bos = tokenizer.bos_token();
  return tokenizer.Encode(text, bos.empty() || !text.starts_with(bos));
}

ScoredText Measure(const std::string& text, int64_t num_tokens) {
  return {text, num_tokens, std::ssize(text), static_cast<int64_t>(unicode::Length(text))};
}

// Appends the request of one continuation.
void AddChoice(const Tokenizer& tokenizer, const std::string& context, const std::string& delimiter,
               const std::string& choice, int64_t max_length, DocumentRequests& result) {
  EncodedPair pair = EncodePair(tokenizer, context, delimiter + choice);
  const int64_t num_scored = std::ssize(pair.continuation);
  if (num_scored == 0) Fail("choice '" + choice + "' has no token");
  if (num_scored > max_length) {
    Fail("choice '" + choice.substr(0, 60) + "' has " + std::to_string(num_scored) +
         " tokens, but the model sees " + std::to_string(max_length) + " at once");
  }
  result.boundary_merge = result.boundary_merge || pair.boundary_merge;
  result.requests.push_back(
      MakeRequest(pair.context, pair.continuation, max_length, result.truncated));
  result.texts.push_back(Measure(choice, num_scored));
}

void CheckChoices(std::span<const std::string> choices) {
  if (choices.size() < 2) {
    Fail("doc_to_choice gives " + std::to_string(choices.size()) +
         " choice(s); a choice needs at least two");
  }
  std::map<std::string_view, size_t> first_place;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].empty()) Fail("choice " + std::to_string(i) + " is empty");
    const auto [place, is_new] = first_place.emplace(choices[i], i);
    if (!is_new) {
      Fail("choices " + std::to_string(place->second) + " and " + std::to_string(i) +
           " are both '" + choices[i] + "'; which of them is right cannot be told");
    }
  }
}

// The document's field "choices", as the harness's multi_choice_regex wants it.
std::vector<std::string> FieldChoices(const Document& document) {
  const Value* field = document.fields.Find("choices");
  const List* list = field != nullptr ? field->get_if<List>() : nullptr;
  std::vector<std::string> choices;
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto* text = (*list)[i].get_if<std::string>();
    if (text == nullptr) break;
    choices.push_back(*text);
  }
  if (list == nullptr || choices.empty() || choices.size() != list->size()) {
    Fail(
        "filter_list: multi_choice_regex reads the field 'choices', expected a list of texts "
        "there");
  }
  return choices;
}

bool AsksForChoices(const TaskConfig& task) {
  for (const AnswerPipelineConfig& pipeline : task.filter_list) {
    for (const AnswerFilterConfig& step : pipeline.filter) {
      if (step.function == "multi_choice_regex") return true;
    }
  }
  return false;
}

class Builder {
 public:
  Builder(const TaskConfig& task, const ExampleRenderer& renderer, const Tokenizer& tokenizer,
          const RequestOptions& options)
      : task_(task), renderer_(renderer), tokenizer_(tokenizer), options_(options) {}

  DocumentRequests Build(const Document& document, std::span<const Document* const> shots) const {
    if (task_.output_type == "loglikelihood_rolling") return Rolling(document);
    if (task_.output_type == "generate_until") return Generation(document, shots);
    if (task_.output_type == "loglikelihood") return Target(document, shots);
    return Choices(document, shots);
  }

 private:
  DocumentRequests Choices(const Document& document, std::span<const Document* const> shots) const {
    const std::vector<std::string> choices = renderer_.Choices(document);
    DocumentRequests result = RequestChoices(tokenizer_, renderer_.Context(document, shots),
                                             renderer_.delimiter(), choices, options_.max_length);
    result.golds = renderer_.GoldIndices(document);
    result.gold = result.golds.front();
    result.target = choices[static_cast<size_t>(result.gold)];
    return result;
  }

  // One continuation, as it stands.
  DocumentRequests Target(const Document& document, std::span<const Document* const> shots) const {
    const std::string target = renderer_.Target(document);
    if (target.empty()) Fail("the text to score is empty");
    DocumentRequests result;
    AddChoice(tokenizer_, renderer_.Context(document, shots), renderer_.delimiter(), target,
              options_.max_length, result);
    result.target = target;
    result.gold = 0;
    result.golds = {0};
    const TokenRequest& request = result.requests.front();
    result.prompt_tokens = std::ssize(request.tokens) - request.num_scored;
    return result;
  }

  DocumentRequests Rolling(const Document& document) const {
    DocumentRequests result;
    result.target = renderer_.Target(document);
    const int32_t prefix = NeedPrefix(tokenizer_, "");
    const std::vector<int32_t> tokens = options_.rolling_bos_scored
                                            ? EncodePrompt(tokenizer_, result.target)
                                            : tokenizer_.Encode(result.target, false);
    if (tokens.empty()) Fail("the text to score is empty");
    result.requests = RollingWindows(tokens, prefix, options_.max_length);
    result.texts.push_back(Measure(result.target, std::ssize(tokens)));
    return result;
  }

  DocumentRequests Generation(const Document& document,
                              std::span<const Document* const> shots) const {
    DocumentRequests result;
    result.targets = renderer_.Targets(document);
    result.target = result.targets.front();
    if (AsksForChoices(task_)) result.field_choices = FieldChoices(document);
    std::vector<int32_t> tokens = PromptTokens(tokenizer_, renderer_.Context(document, shots));
    const int64_t room = options_.max_length - options_.max_new_tokens;
    if (std::ssize(tokens) > room) {
      tokens.erase(tokens.begin(), tokens.end() - room);
      result.truncated = true;
    }
    result.prompt_tokens = std::ssize(tokens);
    result.requests.push_back({std::move(tokens), 0});
    return result;
  }

  const TaskConfig& task_;
  const ExampleRenderer& renderer_;
  const Tokenizer& tokenizer_;
  const RequestOptions& options_;
};

}  // namespace

std::vector<DocumentRequests> BuildRequests(
    const TaskConfig& task, const PromptConfig& prompt, const ExampleRenderer& renderer,
    const Tokenizer& tokenizer, std::span<const Document> documents, std::span<const Document> pool,
    const std::vector<std::vector<int64_t>>& shots, const RequestOptions& options) {
  BE_CHECK(options.max_length >= 1, "max_length " + std::to_string(options.max_length));
  BE_CHECK(shots.size() == documents.size(), "shots of every document");
  if (task.output_type == "generate_until" && options.max_new_tokens >= options.max_length) {
    throw Error(ErrorKind::kUsage,
                "task '" + task.name + "': max_gen_toks is " +
                    std::to_string(options.max_new_tokens) + ", but the model sees only " +
                    std::to_string(options.max_length) + " tokens at once; make it smaller");
  }
  const Builder builder(task, renderer, tokenizer, options);
  std::vector<DocumentRequests> result;
  result.reserve(documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    std::vector<const Document*> examples;
    for (int64_t shot : shots[i]) examples.push_back(&pool[shot]);
    try {
      result.push_back(builder.Build(documents[i], examples));
    } catch (const Error& error) {
      const std::string where = "task '" + task.name + "', variant '" + prompt.name +
                                "', document on line " + std::to_string(documents[i].line) + ": ";
      throw Error(error.kind(), where + error.what());
    }
  }
  return result;
}

DocumentRequests RequestChoices(const Tokenizer& tokenizer, const std::string& context,
                                const std::string& delimiter, std::span<const std::string> choices,
                                int64_t max_length) {
  CheckChoices(choices);
  DocumentRequests result;
  for (const std::string& choice : choices) {
    AddChoice(tokenizer, context, delimiter, choice, max_length, result);
  }
  const TokenRequest& first = result.requests.front();
  result.prompt_tokens = std::ssize(first.tokens) - first.num_scored;
  return result;
}

TokenRequest MakeRequest(std::span<const int32_t> context, std::span<const int32_t> continuation,
                         int64_t max_length, bool& truncated) {
  TokenRequest request;
  request.num_scored = std::ssize(continuation);
  request.tokens.assign(context.begin(), context.end());
  request.tokens.insert(request.tokens.end(), continuation.begin(), continuation.end());
  const int64_t excess = std::ssize(request.tokens) - (max_length + 1);
  if (excess > 0) {
    request.tokens.erase(request.tokens.begin(), request.tokens.begin() + excess);
    truncated = true;
  }
  return request;
}

std::vector<TokenRequest> RollingWindows(std::span<const int32_t> tokens, int32_t prefix,
                                         int64_t max_length) {
  std::vector<TokenRequest> windows;
  const int64_t size = std::ssize(tokens);
  for (int64_t done = 0; done < size;) {
    const int64_t end = std::min(size, done + max_length);
    const int64_t begin = std::max<int64_t>(0, end - max_length - 1);
    TokenRequest window;
    window.num_scored = end - done;
    if (done == 0) window.tokens.push_back(prefix);
    window.tokens.insert(window.tokens.end(), tokens.begin() + begin, tokens.begin() + end);
    windows.push_back(std::move(window));
    done = end;
  }
  return windows;
}

int64_t CountWords(std::string_view utf8) {
  int64_t words = 1;
  bool in_space = false;
  for (size_t position = 0; position < utf8.size();) {
    const bool space = unicode::IsSpace(unicode::Next(utf8, position));
    if (space && !in_space) ++words;
    in_space = space;
  }
  return words;
}

std::vector<int32_t> PromptTokens(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> tokens = EncodePrompt(tokenizer, text);
  if (tokens.empty()) tokens.push_back(NeedPrefix(tokenizer, "the prompt is empty, and "));
  return tokens;
}

int64_t CommonPrefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace breakeven
