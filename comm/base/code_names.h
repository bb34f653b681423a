// Pure. Names of places in this program's own code, for reports of what a process is doing. Linux, ELF.
#ifndef BREAKEVEN_COMM_BASE_CODE_NAMES_H_
#define BREAKEVEN_COMM_BASE_CODE_NAMES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace breakeven {

// Where an address lies in the program's file: the same number in every process that runs this file, wherever the kernel
// has put it, so that one process can name another's place. 0: not in the program itself (a library, or null).
uint64_t CodeOffset(const void* address);

// The function at an offset, from the program's symbol table (also functions that are not exported), with the offset
// itself, which addr2line turns into a line: "GradientBuckets::Launch (+0x4c2f1)". What is unknown is the bare offset.
// Reads the table at the first call; not for signal handlers.
std::string NameOfCode(uint64_t offset);

// The same for any address of this process: "TrainingRun::Step (+0x3a0)", "libmpi.so.40: PMPI_Waitall (+0x5e2c0)".
std::string NameOfAddress(const void* address);

// "breakeven::(anonymous namespace)::Run::Step(int)::{lambda()#1}::operator()() const" -> "Run::Step": what a reader needs
// of a demangled name.
std::string ShortFunctionName(std::string_view demangled);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_CODE_NAMES_H_
