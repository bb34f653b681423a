// Pure. The book of looks at a sealed test set. A look is opened before anything is scored, so that
// a run that dies after it saw the test set has left its trace.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_LEDGER_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_LEDGER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/control.h"

namespace breakeven {

struct LedgerArm {
  std::string model;
  std::string variant;
  std::string hash;  // of weights, templates, shots and task: what can change a score
};

struct Look {
  std::string task;
  std::string split;
  std::string test_hash;  // of the documents: the key
  std::vector<LedgerArm> arms;
};

struct LookNumber {
  int64_t look = 0;       // ours, counted from 1 in order of opening (by the times in the entries)
  int64_t num_looks = 0;  // with different arms, that any of the files knows for this test set
  bool is_new = false;
};

// Files are JSON lines, one a look; the first of `paths` is the one beside the data. A look at the
// same test set with the same arms' hashes in any file is the same look and gets no new entry. After
// it each file holds all looks at this test set that any of them knew, so that a run's own book tells
// what was looked at before. Appends are one write, fsynced, under a lock of the file; an incomplete
// last line that begins as an entry does (a crash while writing) is removed. Files are not opened
// through symbolic links, and one that is another of them by a hard link counts once. A file that cannot be written because its folder is
// read-only is skipped with a warning, unless all are: then Error(kCannotCreate). Error(kBadData)
// for a file that is no ledger.
LookNumber OpenLook(std::span<const std::string> paths, const Look& look);
// COLLECTIVE. The same on rank 0, in the ledgers beside the data file and in `folder`; every rank gets the answer.
LookNumber OpenLookTogether(const std::string& data_path, const std::string& folder,
                            const Look& look, Control& control);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_LEDGER_H_
