// Pure.
#include "trainer/study/verdict_config.h"

namespace breakeven {

void VerdictConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"confidence", "of the intervals", Between(0.5, 0.999)}, confidence);
  v.Visit({"power", "chance to see an effect as large as the minimum detectable one",
           Between(0.5, 0.99)},
          power);
  v.Visit({"equivalence_margin", "scores this near count as equally good; 0.01 is one point",
           Between(0, 1)},
          equivalence_margin);
  v.Visit({"resamples", "of the paired bootstrap; 0 = none", Between(0, 1000000)}, resamples);
  v.Visit({"coverage_studies",
           "simulated studies by which a break-even interval measures its own coverage; 0 = none",
           Between(0, 10000)},
          coverage_studies);
  v.Visit({"seed", "of the bootstrap", AtLeast(0)}, seed);
}

void CostConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"price_per_device_hour", "of one device (rank); 0 = not given", AtLeast(0)},
          price_per_device_hour);
  v.Visit({"currency", "what prices are in"}, currency);
  v.Visit({"device_watts", "power that one device draws; 0 = not given", AtLeast(0)}, device_watts);
  v.Visit({"price_per_kilowatt_hour", "of the power; 0 = in the device's price", AtLeast(0)},
          price_per_kilowatt_hour);
  v.Visit({"queries_per_month", "that the task is asked; 0 = not given", AtLeast(0)},
          queries_per_month);
}

double CostConfig::PricePerDeviceSecond() const {
  return (price_per_device_hour + device_watts / 1000 * price_per_kilowatt_hour) / 3600;
}

}  // namespace breakeven
