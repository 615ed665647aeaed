//! The `provost` program.

/// A request is made of small allocations: glibc's cost a tenth of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    provost::cli::main()
}
