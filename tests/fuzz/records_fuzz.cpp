// A records.jsonl, read back as `report` and `study` do, with every table that it gives.
#include <sstream>
#include <string>

#include "tests/fuzz/fuzz_input.h"
#include "trainer/study/study_records.h"

namespace breakeven {
namespace {

void Use(const StudyRecords& records) {
  const size_t n = records.documents.size();
  for (const RecordArm& arm : records.arms) {
    BE_CHECK(arm.predictions.size() == n, arm.arm);
    for (const auto& [metric, column] : arm.metrics) {
      BE_CHECK(column.size() == n, metric);
      ExpectAnswer([&, &name = metric] { TableOf(records, name); });
    }
    CalibrationOf(arm);
  }
  for (const char* metric : {"target_loglikelihood", "target_probability", "brier_score"}) {
    ExpectAnswer([&] { TableOf(records, metric); });
  }
}

}  // namespace
}  // namespace breakeven

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace breakeven;
  ExpectAnswer([&] {
    RecordReader reader("test");
    std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
    reader.Read(lines, "records.jsonl");
    Use(reader.Finish());
  });
  return 0;
}
