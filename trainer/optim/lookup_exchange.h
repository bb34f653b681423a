// What a tied (or any) token table's gradient still lacks when backward ends: the rows looked up in
// the last micro-batch, exchanged as rows. So the table itself can be reduced first, while backward
// runs, instead of last, when nothing hides it.
#ifndef BREAKEVEN_TRAINER_OPTIM_LOOKUP_EXCHANGE_H_
#define BREAKEVEN_TRAINER_OPTIM_LOOKUP_EXCHANGE_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "trainer/autograd/linear.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/optim/gradient_norm.h"

namespace breakeven {

class LookupExchange {
 public:
  // `data` must outlive this. The table lies at table.offset of the flat buffers.
  LookupExchange(Communicator& data, const ParameterRange& table);

  // Whether rows are to be exchanged in a step in which no rank looks up more than `most_rows`:
  // they are far fewer than the table's. The same on every rank.
  bool Pays(int64_t most_rows) const;

  // COLLECTIVE. Brings every rank's rows (undefined: none) to all. Memory grows with most_rows, by
  // Allocate.
  void Gather(const LookupGradient& rows, int64_t most_rows);

  // Adds the gathered rows, in order of rank and token, to those elements of the reduced gradient
  // `flat_P` (host) that `shard` holds, and tells `norm` what has changed.
  void AddTo(float* flat_P, const std::vector<FlatRange>& shard, GradientNorm& norm) const;

 private:
  int64_t row_floats() const { return width_ + 1; }  // the row's number in front, as bits

  Communicator& data_;
  const FlatRange table_;
  const int64_t width_;
  int64_t most_rows_ = 0;  // of the last Gather
  Memory memory_;          // [world_size, most_rows, row_floats]
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_LOOKUP_EXCHANGE_H_
