use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Work that many wait for and that is done once at a time for each key. It goes on when those who wait give up.
pub struct Flights<K, V>(Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Waits for the work on `key`, which `start` begins if there is none under way. `None` if it came to no end.
    pub async fn join<F>(self: &Arc<Self>, key: &K, start: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut flights = self.0.lock();
            let waiting = flights.entry(key.clone()).or_default();
            waiting.push(sender);
            waiting.len() == 1
        };
        if first {
            let work = start();
            let landing = Landing {
                flights: Arc::clone(self),
                key: key.clone(),
            };
            tokio::spawn(async move {
                let value = work.await;
                for waiting in landing.take() {
                    // Those who gave up do not want to know.
                    let _ = waiting.send(value.clone());
                }
            });
        }
        receiver.await.ok()
    }
}

/// Lets those who wait go, even when the work panics.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Landing<K, V> {
    fn take(&self) -> Vec<oneshot::Sender<V>> {
        self.flights.0.lock().remove(&self.key).unwrap_or_default()
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.take();
    }
}
