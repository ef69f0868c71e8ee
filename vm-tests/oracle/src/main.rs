//! `ostree-container ...`: the command line of the ostree-ext library, unchanged.

#[tokio::main]
async fn main() {
    if let Err(error) = ostree_ext::cli::run_from_iter(std::env::args_os()).await {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}
