// Pure.
#include "data_pipeline/answer_leak.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/field_or_template.h"
#include "data_pipeline/split_overlap.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

constexpr size_t kSample = 200;
constexpr size_t kFewest = 10;      // documents, for what is a matter of shares
constexpr double kNearlyAll = 0.9;  // of the documents
constexpr double kAgreement = 0.8;  // Cohen's kappa
constexpr size_t kPlaceBytes = 6;   // on each side of an answer: its place
constexpr size_t kShownBytes = 300;

// Scripts that put no blank between words, or hang endings on them.
bool NeedsNoBoundary(uint32_t c) { return c >= 0x0E00; }

bool IsWordPart(uint32_t c) { return unicode::IsAlnum(c) && !NeedsNoBoundary(c); }

// Byte offsets at which `text` holds `word` as whole words; both normalised.
std::vector<size_t> PlacesOf(const std::string& word, const std::string& text) {
  std::vector<size_t> places;
  if (word.empty()) return places;
  size_t first_at = 0;
  size_t last_at = word.size();
  const bool open_left = IsWordPart(unicode::Next(word, first_at));
  const bool open_right = IsWordPart(unicode::Previous(word, last_at));
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    size_t before = at;
    size_t behind = at + word.size();
    if (open_left && at > 0 && IsWordPart(unicode::Previous(text, before))) continue;
    if (open_right && behind < text.size() && IsWordPart(unicode::Next(text, behind))) continue;
    places.push_back(at);
  }
  return places;
}

std::set<std::string> FieldsOf(const std::string& line, const Document& document) {
  if (line.empty()) return {};
  std::set<std::string> fields;
  for (const std::string& name : FieldOrTemplate(line, "line").Names()) {
    if (document.fields.Find(name) != nullptr) fields.insert(name);
  }
  return fields;
}

std::string TextOf(const Value& value) {
  const std::string* text = value.get_if<std::string>();
  return text != nullptr ? *text : ToJson(value);
}

class Search {
 public:
  Search(const TaskConfig& task, const PromptConfig& prompt, const ChatFormat& chat,
         std::span<const Document> documents)
      : renderer_(task, prompt, chat), has_choices_(task.output_type == "multiple_choice") {
    const size_t size = std::min(kSample, documents.size());
    for (size_t i = 0; i < size; ++i) Look(documents[i * documents.size() / size]);
    if (seen_.empty()) return;
    const PromptConfig resolved = ResolvePrompt(task, prompt);
    fields_ = FieldsOf(resolved.doc_to_target, *seen_.front().document);
    for (const std::string& choice : resolved.doc_to_choice) {
      for (const std::string& name : FieldsOf(choice, *seen_.front().document)) fields_.erase(name);
    }
  }

  std::optional<AnswerLeak> Find() const {
    std::optional<AnswerLeak> leak = InTemplate();
    return leak.has_value() || !has_choices_ ? leak : InData();
  }

 private:
  struct Seen {
    const Document* document;
    std::string context;
    std::string answer;
    int64_t gold = -1;
  };

  void Look(const Document& document) {
    Seen seen{&document, renderer_.Context(document, {}), renderer_.Target(document)};
    if (has_choices_) seen.gold = renderer_.GoldIndex(document);
    seen_.push_back(std::move(seen));
  }

  // What tells two answers apart.
  std::string Answer(const Seen& seen) const {
    return has_choices_ ? std::to_string(seen.gold) : seen.answer;
  }

  // Is `field` the answer and nothing else?
  bool IsTheAnswer(const std::string& field) const {
    bool equal = true;
    std::map<std::string, std::string> answers;
    std::map<std::string, std::string> values;
    bool one_to_one = true;
    for (const Seen& seen : seen_) {
      const Value* value = seen.document->fields.Find(field);
      if (value == nullptr) return false;
      const std::string text = TextOf(*value);
      equal = equal && (unicode::Strip(text) == unicode::Strip(seen.answer) ||
                        (has_choices_ && text == std::to_string(seen.gold)));
      one_to_one = one_to_one &&
                   answers.emplace(text, Answer(seen)).first->second == Answer(seen) &&
                   values.emplace(Answer(seen), text).first->second == text;
    }
    return equal || (one_to_one && 2 * answers.size() <= seen_.size());
  }

  // The document with the fields of the next one that is answered otherwise; nullopt: there is none, or it cannot be rendered.
  std::optional<Seen> WithAnotherAnswer(size_t number, Document& changed) const {
    for (size_t step = 1; step < seen_.size(); ++step) {
      const Seen& donor = seen_[(number + step) % seen_.size()];
      if (Answer(donor) == Answer(seen_[number])) continue;
      changed = *seen_[number].document;
      for (const std::string& field : fields_) {
        const Value* value = donor.document->fields.Find(field);
        if (value != nullptr) changed.fields.Set(field, *value);
      }
      try {
        return Seen{&changed, renderer_.Context(changed, {}), renderer_.Target(changed)};
      } catch (const Error&) {
        return std::nullopt;  // fields that fit only each other
      }
    }
    return std::nullopt;
  }

  // Does the prompt name the answer that it has, and the other one when it has that?
  static bool Follows(const Seen& own, const Seen& other) {
    const std::string own_text = NormaliseForComparison(own.context);
    const std::string other_text = NormaliseForComparison(other.context);
    const auto more = [](const std::string& answer, const std::string& here,
                         const std::string& there) {
      const std::string word = NormaliseForComparison(answer);
      return PlacesOf(word, here).size() > PlacesOf(word, there).size();
    };
    return more(own.answer, own_text, other_text) && more(other.answer, other_text, own_text);
  }

  std::optional<AnswerLeak> InTemplate() const {
    if (fields_.empty() || seen_.empty()) return std::nullopt;
    const bool is_answer = fields_.size() == 1 && IsTheAnswer(*fields_.begin());
    size_t tried = 0;
    size_t shown = 0;
    const Seen* example = nullptr;
    for (size_t i = 0; i < seen_.size(); ++i) {
      Document changed;
      const std::optional<Seen> other = WithAnotherAnswer(i, changed);
      if (!other.has_value()) continue;
      ++tried;
      const bool differs = other->context != seen_[i].context;
      if (!differs || (!is_answer && !Follows(seen_[i], *other))) continue;
      ++shown;
      if (example == nullptr) example = &seen_[i];
    }
    if (shown == 0) return std::nullopt;
    if (!is_answer && (tried < kFewest || Share(shown, tried) < kNearlyAll)) return std::nullopt;
    std::string names;
    for (const std::string& field : fields_) names += (names.empty() ? "'" : ", '") + field + "'";
    return Found(*example, Of(shown, tried) + "the prompt changes with " +
                               (is_answer ? "the field " + names + ", which is the answer"
                                          : names + ", of which the answer is made, and names it"));
  }

  // The choice that stands in the prompt more often than every other, or −1.
  int64_t Leader(const Seen& seen, const std::string& text) const {
    const std::vector<std::string> choices = renderer_.Choices(*seen.document);
    size_t most = 0;
    int64_t leader = -1;
    for (size_t i = 0; i < choices.size(); ++i) {
      const size_t count = PlacesOf(NormaliseForComparison(choices[i]), text).size();
      if (count == most) leader = -1;
      if (count <= most) continue;
      most = count;
      leader = static_cast<int64_t>(i);
    }
    return leader;
  }

  std::optional<AnswerLeak> InData() const {
    if (seen_.size() < kFewest) return std::nullopt;
    std::map<std::string, std::pair<size_t, size_t>> choices;  // leads, is right
    std::map<std::string, size_t> places;  // documents whose answer stands there
    size_t agreed = 0;
    const Seen* example = nullptr;
    for (const Seen& seen : seen_) {
      const std::string text = NormaliseForComparison(seen.context);
      const int64_t leader = Leader(seen, text);
      ++choices[seen.answer].second;
      if (leader >= 0) ++choices[renderer_.Choices(*seen.document)[leader]].first;
      if (leader < 0 || leader != seen.gold) continue;
      ++agreed;
      if (example == nullptr) example = &seen;
      for (const std::string& place : PlaceNames(NormaliseForComparison(seen.answer), text)) {
        ++places[place];
      }
    }
    double chance = 0;
    const auto n = static_cast<double>(seen_.size());
    for (const auto& [text, counts] : choices) {
      chance += static_cast<double>(counts.first) / n * static_cast<double>(counts.second) / n;
    }
    const double share = Share(agreed, seen_.size());
    size_t same_place = 0;
    for (const auto& [place, count] : places) same_place = std::max(same_place, count);
    if (chance >= 1 || (share - chance) / (1 - chance) < kAgreement ||
        Share(same_place, seen_.size()) < kNearlyAll) {
      return std::nullopt;
    }
    return Found(*example, Of(same_place, seen_.size()) +
                               "the right choice stands at the same place of the prompt, and more "
                               "often than any other");
  }

  // The letters on either side of each occurrence.
  static std::set<std::string> PlaceNames(const std::string& word, const std::string& text) {
    std::set<std::string> names;
    for (const size_t at : PlacesOf(word, text)) {
      const size_t before = std::min(kPlaceBytes, at);
      names.insert("<" + text.substr(at - before, before));
      names.insert(">" + text.substr(at + word.size(), kPlaceBytes));
    }
    return names;
  }

  static double Share(size_t part, size_t all) {
    return static_cast<double>(part) / static_cast<double>(all);
  }
  static std::string Of(size_t part, size_t all) {
    return "in " + std::to_string(part) + " of " + std::to_string(all) + " documents looked at ";
  }

  static AnswerLeak Found(const Seen& example, const std::string& how) {
    std::string asked = example.context;
    if (asked.size() > kShownBytes) {
      size_t begin = asked.size() - kShownBytes;
      while ((static_cast<unsigned char>(asked[begin]) & 0xC0) == 0x80) ++begin;
      asked = "…" + asked.substr(begin);
    }
    return {how, example.document->line, asked, example.answer};
  }

  const ExampleRenderer renderer_;
  const bool has_choices_;
  std::vector<Seen> seen_;
  std::set<std::string> fields_;  // that only the answer is made of
};

}  // namespace

std::optional<AnswerLeak> FindAnswerLeak(const TaskConfig& task, const PromptConfig& prompt,
                                         const ChatFormat& chat,
                                         std::span<const Document> documents) {
  if (task.output_type == "loglikelihood_rolling" || documents.empty()) return std::nullopt;
  return Search(task, prompt, chat, documents).Find();
}

std::string DescribeAnswerLeak(const AnswerLeak& leak, const PromptConfig& prompt,
                               const std::string& path) {
  return path + ": prompt '" + prompt.name + "' shows the answer it asks for: " + leak.how +
         ". Line " + std::to_string(leak.line) + ", whose answer is '" + leak.answer +
         "', is asked:\n" + leak.asked + "\n";
}

}  // namespace breakeven
