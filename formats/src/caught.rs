//! Decoders that others wrote may panic on damaged bytes. Here such a panic becomes an error of the file.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
};

thread_local! {
    /// Whether a panic of this thread is no more than an error of a file.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` returns, or what it said when it panicked; it is not said on stderr as well. After a panic, whatever it
/// was working on must not be used again.
pub(crate) fn caught<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !CATCHING.get() {
                told(panic);
            }
        }));
    });
    let before = CATCHING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    CATCHING.set(before);
    outcome.map_err(|panic| said(&*panic))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the decoder gave up").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        let index = std::hint::black_box(9);
        assert_eq!(caught(|| [1, 2][index]), Err("index out of bounds: the len is 2 but the index is 9".to_owned()));
    }
}
