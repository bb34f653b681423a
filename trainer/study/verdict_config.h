// Pure. What a user can ask of the verdict, and what things cost. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_STUDY_VERDICT_CONFIG_H_
#define BREAKEVEN_TRAINER_STUDY_VERDICT_CONFIG_H_

#include <cstdint>
#include <string>

#include "comm/base/fields.h"

namespace breakeven {

struct VerdictConfig {
  double confidence = 0.95;
  double power = 0.8;                // for the minimum detectable effect
  double equivalence_margin = 0.01;  // of the score: 0.01 = one point
  int64_t resamples = 10000;
  int64_t coverage_studies = 200;
  int64_t seed = 1;
  void VisitFields(FieldVisitor& v);
};

struct CostConfig {
  double price_per_device_hour = 0;  // 0 = not given: costs are told in device-seconds
  std::string currency = "USD";
  double device_watts = 0;  // 0 = not given
  double price_per_kilowatt_hour = 0;
  double queries_per_month = 0;  // 0 = not given: no months until it has paid back
  void VisitFields(FieldVisitor& v);
  // Of one second of one device, power included.
  double PricePerDeviceSecond() const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_VERDICT_CONFIG_H_
