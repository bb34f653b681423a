// What the parity tests in Python reach trainer/statistics through: a JSON request on each line of standard input, a JSON
// answer on each line of standard output. {"op": NAME, …} with the names and arguments of the functions below.
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/statistics/bootstrap.h"
#include "trainer/statistics/calibration.h"
#include "trainer/statistics/curve_fit.h"
#include "trainer/statistics/distributions.h"
#include "trainer/statistics/multiple.h"
#include "trainer/statistics/nonnegative.h"
#include "trainer/statistics/power.h"
#include "trainer/statistics/proportions.h"
#include "trainer/statistics/ratio.h"
#include "trainer/statistics/replicates.h"
#include "trainer/statistics/units.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<double>;

// JSON has no infinity: "inf" and "-inf" on both sides.
double Number(const Json& value) {
  if (value.is_string()) return value == "inf" ? INFINITY : -INFINITY;
  return value.get<double>();
}

Json Written(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json Written(const Interval& interval) { return {Written(interval.low), Written(interval.high)}; }

Numbers List(const Json& request, const char* key) {
  return request.contains(key) ? request[key].get<Numbers>() : Numbers();
}

Units ReadUnits(const Json& request) {
  const auto systems = request["systems"].get<std::vector<Numbers>>();
  const auto groups = request.value("groups", std::vector<uint64_t>());
  return MakeUnits(systems, List(request, "sizes"), groups);
}

MeanEstimate ReadEstimate(const Json& value) {
  return {value[0].get<double>(), value[1].get<double>(), Number(value[2])};
}

Json Written(const MeanEstimate& estimate) {
  return {Written(estimate.value), Written(estimate.standard_error), Written(estimate.degrees)};
}

Json Distributions(const Json& r) {
  const double x = r["x"];
  const double p = r["p"];
  const double degrees = Number(r["degrees"]);
  return {{"normal_cdf", NormalCdf(x)},
          {"normal_quantile", NormalQuantile(p)},
          {"student_cdf", StudentCdf(x, degrees)},
          {"student_quantile", StudentQuantile(p, degrees)},
          {"student_two_sided", StudentTwoSided(x, degrees)}};
}

Json Mean(const Json& r) {
  const auto correction = r.value("leverage", false) ? SmallSample::kLeverage : SmallSample::kPlain;
  const MeanEstimate estimate = EstimateMean(ReadUnits(r), correction);
  return {{"estimate", Written(estimate)},
          {"interval", Written(StudentInterval(estimate, r["confidence"]))},
          {"p_value", Written(StudentPValue(estimate))}};
}

Json Bca(const Json& r) {
  const Units units = ReadUnits(r);
  const Numbers coefficients = r["coefficients"].get<Numbers>();
  const BootstrapOptions options{r["resamples"], r["seed"]};
  const Numbers distribution = CombineResampled(BootstrapMeans(units, options), coefficients);
  const Units combined = Combine(units, coefficients);
  return {{"distribution", distribution},
          {"bca", Written(BcaInterval(distribution, Means(combined)[0], JackknifeMeans(combined),
                                      r["confidence"]))},
          {"percentile", Written(PercentileInterval(distribution, r["confidence"]))}};
}

Json Recipes(const Json& r) {
  const auto first = r["first"].get<std::vector<size_t>>();
  const auto second = r["second"].get<std::vector<size_t>>();
  const RecipeEstimate estimate = CompareRecipes(ReadUnits(r), first, second);
  const double confidence = r["confidence"];
  const Interval documents = StudentInterval(estimate.documents, confidence);
  return {{"value", estimate.value},
          {"document_variance", estimate.document_variance},
          {"replicate_variance", estimate.replicate_variance()},
          {"replicates", Written(ReplicateInterval(estimate, confidence))},
          {"documents", Written(documents)},
          {"joined", Written(JoinReplicates(estimate, documents, confidence))}};
}

Json Components(const Json& r) {
  const VarianceComponents c = CrossedComponents(r["scores"].get<std::vector<Numbers>>());
  return {{"replicate", c.replicate}, {"document", c.document}, {"residual", c.residual}};
}

Json Power(const Json& r) {
  const PowerOptions options{r["confidence"], r["power"]};
  return {{"documents", DocumentsForDifference(r["discordance"], r["difference"], options)},
          {"difference", DetectableDifference(r["discordance"], r["n"], options)}};
}

Json Law(const Json& r) {
  const auto law = FitPowerLaw(List(r, "sizes"), List(r, "errors"), List(r, "weights"));
  if (!law.has_value()) return nullptr;
  return {{"floor", law->floor},
          {"scale", law->scale},
          {"exponent", law->exponent},
          {"residual", law->residual}};
}

Json Calibrated(const Json& r) {
  const Calibration calibration =
      CalibrationError(List(r, "confidences"), List(r, "correct"), r["bins"]);
  Json counts = Json::array();
  for (const CalibrationBin& bin : calibration.bins) counts.push_back(bin.count);
  return {{"error", calibration.expected_error}, {"counts", counts}};
}

Json Answer(const Json& r) {
  static const std::map<std::string, std::function<Json(const Json&)>> kOperations = {
      {"distributions", Distributions},
      {"binomial",
       [](const Json& q) -> Json {
         return {{"cdf", BinomialCdf(q["k"], q["n"], q["p"])},
                 {"pmf", BinomialPmf(q["k"], q["n"], q["p"])}};
       }},
      {"wilson",
       [](const Json& q) {
         return Written(WilsonInterval(q["successes"], q["trials"], q["confidence"]));
       }},
      {"tango",
       [](const Json& q) {
         return Written(TangoInterval(q["won"], q["lost"], q["n"], q["confidence"]));
       }},
      {"mcnemar",
       [](const Json& q) -> Json {
         const McNemarTest test = McNemar(q["won"], q["lost"]);
         return {{"exact", test.exact}, {"mid_p", test.mid_p}};
       }},
      {"mean", Mean},
      {"bootstrap", Bca},
      {"recipes", Recipes},
      {"components", Components},
      {"holm", [](const Json& q) -> Json { return HolmAdjusted(List(q, "p_values")); }},
      {"power", Power},
      {"isotonic",
       [](const Json& q) -> Json { return IsotonicFit(List(q, "values"), List(q, "weights")); }},
      {"power_law", Law},
      {"nonnegative",
       [](const Json& q) -> Json {
         const auto rows = q["rows"].get<std::vector<Numbers>>();
         return NonNegativeLeastSquares(rows, List(q, "b"));
       }},
      {"calibration", Calibrated},
      {"probabilities",
       [](const Json& q) -> Json {
         const Numbers probabilities = NormalisedProbabilities(List(q, "loglikelihoods"));
         return {{"probabilities", probabilities}, {"brier", BrierScore(probabilities, q["gold"])}};
       }},
      {"fieller",
       [](const Json& q) {
         return Written(
             FiellerInterval(ReadEstimate(q["cost"]), ReadEstimate(q["saving"]), q["confidence"]));
       }},
  };
  return kOperations.at(r.at("op"))(r);
}

}  // namespace
}  // namespace breakeven

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::cout << breakeven::Answer(nlohmann::json::parse(line)).dump() << "\n";
  }
  return 0;
}
