// Pure.
#include "comm/base/error.h"
#include "trainer/prompt_eval/score_bench.h"

namespace breakeven {

void ScoreBenchConfig::VisitFields(FieldVisitor& v) {
  eval.VisitFields(v);
  v.Visit({"bench_repeats", "passes over the documents that count", AtLeast(1)}, repeats);
  v.Visit({"bench_warmup_repeats", "passes before them", AtLeast(0)}, warmup_repeats);
}

void ScoreBenchConfig::Validate() const {
  eval.Validate();
  if (eval.models.empty()) {
    throw Error(ErrorKind::kUsage,
                "models: none given; expected 'name: folder' of the one to measure");
  }
}

}  // namespace breakeven
