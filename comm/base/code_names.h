// Pure. Names of places in this program's own code, for reports of what a process is doing. Linux, ELF.
#ifndef BREAKEVEN_COMM_BASE_CODE_NAMES_H_
#define BREAKEVEN_COMM_BASE_CODE_NAMES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace breakeven {

// Where an address lies in the program's image: the same number in every process that runs this file, wherever the kernel
// has put it, so that processes can point each other at code and constants. 0: not in the program itself (a library, the
// heap, null).
uint64_t ProgramOffset(const void* address);

// The constant text at an offset that another process of this program has told; "" where there can be none.
std::string_view ProgramText(uint64_t offset);

// The function at an address of this process, from the program's symbol table (also functions that are not exported) or the
// library's, with the offset in the file, which addr2line turns into a line: "TrainingRun::Step (+0x3a0)",
// "libmpi.so.40: PMPI_Waitall (+0x5e2c0)". Reads the table at the first call; not for signal handlers.
std::string NameOfAddress(const void* address);

// "breakeven::(anonymous namespace)::Run::Step(int)::{lambda()#1}::operator()() const" -> "Run::Step": what a reader needs
// of a demangled name.
std::string ShortFunctionName(std::string_view demangled);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_CODE_NAMES_H_
