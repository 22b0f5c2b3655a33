//! One value that many want and one fetches.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

/// A value that is expensive to have, such as a connection or an access token.
///
/// Whoever finds it missing starts the fetch, and everyone who comes before that ends waits for the same one: a crowd
/// causes one request, and shares its failure too. A failure is not kept: who comes after it starts anew. So does who comes
/// after all of a crowd have given up: nobody has driven their fetch since, and its time limits have passed meanwhile.
pub(super) struct Flight<T, E> {
    current: Mutex<Option<Fetch<T, E>>>,
}

type Fetch<T, E> = Shared<BoxFuture<'static, Result<T, E>>>;

impl<T: Clone, E: Clone> Flight<T, E> {
    pub(super) fn new() -> Self {
        Self { current: Mutex::new(None) }
    }

    /// The value, if it is `usable` or on its way, or else what `fetch` brings.
    pub(super) async fn get(
        &self,
        usable: impl Fn(&T) -> bool,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<T, E>>,
    ) -> Result<T, E> {
        let fetching = {
            // Nothing can panic while it is held, and if something did, the value would still be whole.
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = current.take().filter(|fetching| match fetching.peek() {
                // Another than the one that is kept here waits for it.
                None => fetching.strong_count() > Some(1),
                Some(Ok(value)) => usable(value),
                Some(Err(_)) => false,
            });
            current.insert(kept.unwrap_or_else(|| fetch().shared())).clone()
        };
        fetching.await
    }

    /// Whether there is a value that is `usable`.
    pub(super) fn has(&self, usable: impl Fn(&T) -> bool) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(current.as_ref().and_then(Shared::peek), Some(Ok(value)) if usable(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Duration, timeout};

    use super::*;

    fn counted(count: &Arc<AtomicU32>, fail: bool) -> BoxFuture<'static, Result<u32, u32>> {
        let count = count.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let n = count.fetch_add(1, Ordering::Relaxed) + 1;
            if fail { Err(n) } else { Ok(n) }
        }
        .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_causes_one_fetch() {
        let (flight, count) = (Flight::new(), Arc::new(AtomicU32::new(0)));
        let crowd = (0..50).map(|_| flight.get(|_| true, || counted(&count, false)));
        assert_eq!(futures::future::join_all(crowd).await, vec![Ok(1); 50]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_shares_a_failure_and_the_next_tries_anew() {
        let (flight, count) = (Flight::new(), Arc::new(AtomicU32::new(0)));
        let crowd = (0..50).map(|_| flight.get(|_| true, || counted(&count, true)));
        assert_eq!(futures::future::join_all(crowd).await, vec![Err(1); 50]);
        assert_eq!(flight.get(|_| true, || counted(&count, false)).await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_is_begun_anew_when_all_who_waited_for_it_have_given_up() {
        let (flight, count) = (Flight::new(), Arc::new(AtomicU32::new(0)));
        let hurried = || timeout(Duration::from_millis(5), flight.get(|_| true, || counted(&count, true)));
        assert!(hurried().await.is_err());
        tokio::time::sleep(Duration::from_secs(60)).await;
        // As long as one of them waits, it is theirs.
        let patient = flight.get(|_| true, || counted(&count, false));
        let late = async {
            tokio::time::sleep(Duration::from_millis(7)).await;
            flight.get(|_| true, || counted(&count, true)).await
        };
        let (gave_up, patient, late) = futures::join!(hurried_behind(&flight, &count), patient, late);
        assert_eq!((gave_up, patient, late), (true, Ok(1), Ok(1)));
        assert_eq!((flight.has(|_| true), flight.has(|n| *n != 1)), (true, false));
    }

    /// Whether someone who waits for a fetch that has already begun has given up before its end.
    async fn hurried_behind(flight: &Flight<u32, u32>, count: &Arc<AtomicU32>) -> bool {
        tokio::task::yield_now().await;
        timeout(Duration::from_millis(5), flight.get(|_| true, || counted(count, true))).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn an_unusable_value_is_replaced() {
        let (flight, count) = (Flight::new(), Arc::new(AtomicU32::new(0)));
        assert_eq!(flight.get(|_| true, || counted(&count, false)).await, Ok(1));
        assert_eq!(flight.get(|_| true, || counted(&count, false)).await, Ok(1));
        assert_eq!(flight.get(|&n| n != 1, || counted(&count, false)).await, Ok(2));
    }
}
