// Pure.
#include "trainer/study/study_records.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/json_depth.h"
#include "trainer/prompt_eval/records.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;

[[noreturn]] void Refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::kBadData, where + ": " + what);
}

std::string Text(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<int64_t> Whole(const Json& record, const char* key) {
  const auto found = record.find(key);
  if (found == record.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

double FiniteNumber(const Json& value, const std::string& where, const std::string& what) {
  // JSON has no NaN: it is written as null.
  if (value.is_number() && std::isfinite(value.get<double>())) return value.get<double>();
  Refuse(where, what + " is " + value.dump() +
                    ", not a number: the model's weights hold NaN or overflow, or the record was "
                    "cut; score the arm again");
}

// The probabilities behind a choice, into the arm's columns.
void TakeChoices(const Json& record, const std::string& where, RecordArm& arm) {
  const std::string target = Text(record, "target");
  std::vector<double> loglikelihoods;
  std::vector<double> judged;  // calibrated, where the prompt is
  size_t gold = 0;
  bool found = false;
  for (const Json& choice : record.at("choices")) {
    if (!found && Text(choice, "text") == target) {
      gold = loglikelihoods.size();
      found = true;
    }
    loglikelihoods.push_back(
        FiniteNumber(choice.at("loglikelihood"), where, "the log-likelihood of a choice"));
    judged.push_back(choice.contains("calibrated")
                         ? FiniteNumber(choice.at("calibrated"), where, "a calibrated score")
                         : loglikelihoods.back());
  }
  if (!found || loglikelihoods.size() < 2) return;
  const std::vector<double> probabilities = NormalisedProbabilities(judged);
  const auto likeliest = std::max_element(probabilities.begin(), probabilities.end());
  arm.target_loglikelihoods.push_back(loglikelihoods[gold]);
  arm.target_probabilities.push_back(probabilities[gold]);
  arm.confidences.push_back(*likeliest);
  arm.confident_hits.push_back(static_cast<size_t>(likeliest - probabilities.begin()) == gold ? 1
                                                                                              : 0);
  arm.briers.push_back(BrierScore(probabilities, gold));
}

void TakeRolling(const Json& record, const std::string& where, RecordArm& arm) {
  const Json& text = record.at("choices").at(0);
  arm.loglikelihoods.push_back(FiniteNumber(text.at("loglikelihood"), where, "a log-likelihood"));
  arm.num_words.push_back(record.at("num_words").get<double>());
  arm.num_bytes.push_back(text.at("num_bytes").get<double>());
}

// What identifies a record's evaluation, as it stands in the record.
Json HeadOf(const Json& record) {
  Json head;
  for (const char* key :
       {"task", "precision", "model_hash", "template_hash", "train_size", "seed", "step"}) {
    head[key] = record.value(key, Json());
  }
  return head;
}

// Refuses where `head` differs from another's in one of `keys`.
void CheckSame(const Json& head, const Json& other, std::initializer_list<const char*> keys,
               const std::string& where, const std::string& whose) {
  for (const char* key : keys) {
    if (head[key] == other[key]) continue;
    Refuse(where, std::string(key) + " is " + head[key].dump() + " where " + whose + " has " +
                      other[key].dump() +
                      ": records of different evaluations are mixed; keep those of one");
  }
}

RecordArm ArmOf(const Json& record) {
  RecordArm arm;
  arm.arm = Text(record, "arm");
  arm.model = Text(record, "model");
  arm.model_hash = Text(record, "model_hash");
  arm.task = Text(record, "task");
  arm.variant = Text(record, "variant");
  arm.template_hash = Text(record, "template_hash");
  arm.precision = Text(record, "precision");
  arm.train_size = Whole(record, "train_size");
  arm.seed = Whole(record, "seed");
  arm.step = Whole(record, "step");
  return arm;
}

template <typename T>
void Reorder(std::vector<T>& column, const std::vector<size_t>& order) {
  std::vector<T> ordered;
  ordered.reserve(order.size());
  for (size_t place : order) ordered.push_back(std::move(column[place]));
  column = std::move(ordered);
}

}  // namespace

// A record and where it stands.
struct RecordReader::Line {
  const Json* record;
  const std::string& where;
};

// An arm as it is read, in its file's order.
struct RecordReader::Collected {
  RecordArm arm;
  Json head;
  std::vector<RecordDocument> documents;
  std::vector<std::string> where;                  // of each document's record
  std::unordered_map<std::string, size_t> places;  // by document id
};

RecordReader::RecordReader(std::string split) : split_(std::move(split)) {}
RecordReader::~RecordReader() = default;

void RecordReader::ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorKind::kBadData, path + ": cannot be opened for reading");
  Read(file, path);
}

void RecordReader::Read(std::istream& lines, const std::string& name) {
  std::string text;
  for (int64_t number = 1; std::getline(lines, text); ++number) {
    if (text.empty()) continue;
    const std::string where = name + ":" + std::to_string(number);
    CheckJsonDepth(text, where);
    try {
      const Json record = Json::parse(text);
      const std::optional<int64_t> format = Whole(record, "format");
      if (format != kRecordFormat) {
        Refuse(where, "format " + (format ? std::to_string(*format) : "is missing") +
                          " where this program reads format " + std::to_string(kRecordFormat));
      }
      if (Text(record, "split") == split_) Take({&record, where});
    } catch (const Json::exception& error) {
      Refuse(where, std::string("is no record of an evaluation: ") + error.what());
    }
  }
  if (lines.bad()) throw Error(ErrorKind::kIo, name + ": reading failed");
}

void RecordReader::Take(const Line& line) {
  const Json& record = *line.record;
  const std::string name = Text(record, "arm");
  const Json head = HeadOf(record);
  std::unique_ptr<Collected>& place = arms_[name];
  if (place == nullptr) {
    place = std::make_unique<Collected>();
    place->arm = ArmOf(record);
    place->head = head;
    order_.push_back(name);
  }
  Collected& collected = *place;
  CheckSame(head, arms_.at(order_.front())->head, {"task", "precision"}, line.where,
            "arm " + order_.front());
  CheckSame(head, collected.head, {"model_hash", "template_hash", "train_size", "seed", "step"},
            line.where,
            "the same arm in " + (collected.where.empty() ? line.where : collected.where.front()));
  RecordDocument document{record.at("doc_id").dump(), Text(record, "doc_hash"),
                          Text(record, "group"), Text(record, "target")};
  const auto [found, is_new] = collected.places.try_emplace(document.id, collected.places.size());
  if (!is_new) {
    Refuse(line.where, "document " + document.id + " of arm " + name + " stands already in " +
                           collected.where[found->second]);
  }
  RecordArm& arm = collected.arm;
  for (const auto& [metric, value] : record.at("metrics").items()) {
    std::vector<double>& column = arm.metrics[metric];
    if (column.size() != collected.documents.size()) {
      Refuse(line.where, metric + " is missing in earlier records of arm " + name);
    }
    column.push_back(FiniteNumber(value, line.where, metric));
  }
  arm.predictions.push_back(Text(record, "prediction"));
  record.contains("num_words") ? TakeRolling(record, line.where, arm)
                               : TakeChoices(record, line.where, arm);
  arm.mean_prompt_tokens += record.value("prompt_tokens", 0.0);
  arm.num_truncated += record.value("truncated", false) ? 1 : 0;
  collected.documents.push_back(std::move(document));
  collected.where.push_back(line.where);
}

RecordArm RecordReader::Aligned(Collected& collected, const Collected& reference) {
  RecordArm arm = std::move(collected.arm);
  const size_t n = reference.documents.size();
  std::vector<size_t> order;
  for (const RecordDocument& document : reference.documents) {
    const auto found = collected.places.find(document.id);
    if (found == collected.places.end()) {
      Refuse(collected.where.back(), "arm " + arm.arm + " lacks document " + document.id +
                                         ", which stands in " + order_.front() +
                                         ": arms are compared on the same documents; was an "
                                         "evaluation cut off?");
    }
    const RecordDocument& own = collected.documents[found->second];
    if (own.hash != document.hash || own.group != document.group) {
      Refuse(collected.where[found->second],
             "document " + document.id + " is another one than in arm " + order_.front() +
                 " (hash " + own.hash + " where it has " + document.hash + ", group '" + own.group +
                 "' where it has '" + document.group +
                 "'): the data changed between the evaluations");
    }
    order.push_back(found->second);
  }
  if (collected.documents.size() != n) {
    Refuse(collected.where.back(),
           "arm " + arm.arm + " has " + std::to_string(collected.documents.size()) +
               " documents where " + order_.front() + " has " + std::to_string(n));
  }
  for (auto& [metric, column] : arm.metrics) {
    if (column.size() != n) Refuse(collected.where.back(), metric + " is missing in this arm");
    Reorder(column, order);
  }
  Reorder(arm.predictions, order);
  for (std::vector<double>* column :
       {&arm.target_loglikelihoods, &arm.target_probabilities, &arm.confidences,
        &arm.confident_hits, &arm.briers, &arm.loglikelihoods, &arm.num_words, &arm.num_bytes}) {
    // What not all documents have is no column.
    column->size() == n ? Reorder(*column, order) : column->clear();
  }
  arm.mean_prompt_tokens /= static_cast<double>(n);
  return arm;
}

StudyRecords RecordReader::Finish() {
  if (order_.empty()) {
    throw Error(ErrorKind::kBadData,
                "there is no record of split '" + split_ + "': was it scored?");
  }
  StudyRecords result;
  result.split = split_;
  const Collected& reference = *arms_.at(order_.front());
  result.documents = reference.documents;
  for (const std::string& name : order_) {
    result.arms.push_back(Aligned(*arms_.at(name), reference));
  }
  return result;
}

}  // namespace breakeven
