use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, Replay};
use super::http1::Http1;
use super::pool::Leased;
use super::reporter::Reporter;
use super::request::Request;
use super::target::{Destination, Target};
use super::thread::Client;
use crate::abi::host::CallEvent;

/// The connection that a response came over, if others can use it next.
type Left = Option<(Arc<Target>, Http1)>;

pub async fn call(
    client: &Client,
    mut reporter: Reporter,
    destination: Destination,
    request: Request,
    deadline: Instant,
) {
    let answer = timeout_at(deadline, answer(client, destination, &request)).await;
    let (event, left) = match answer.unwrap_or_else(|_| Err(Failure::timed_out())) {
        Ok(answered) => answered,
        Err(Failure { reason, .. }) => (CallEvent::Failed { reason }, None),
    };
    reporter.last(event);
    if let Some((target, connection)) = left {
        client.pool.settle(&target, connection).await;
    }
}

async fn answer(
    client: &Client,
    destination: Destination,
    request: &Request,
) -> Result<(CallEvent, Left), Failure> {
    let (target, authority) = client.resolve(destination, request, false).await?;
    let mut again = false;
    loop {
        let lease = client.pool.checkout(&target, again).await?;
        let failure = match lease.connection {
            Leased::Http1(mut connection) => {
                let request = request.http1(&authority)?;
                match connection.exchange(request, client.limits).await {
                    Ok(event) => return Ok((event, Some((target, connection)))),
                    Err(failure) => failure,
                }
            }
            Leased::Http2(mut connection) => {
                let head = request.http2(&authority, target.tls.is_some())?;
                let (body, trailers) = (request.body.clone(), request.trailers.clone());
                let sent = connection.exchange(head, body, trailers, client.limits);
                match sent.await {
                    Ok(event) => return Ok((event, None)),
                    Err(failure) => failure,
                }
            }
        };
        let replayed = match failure.replay {
            Replay::Never => false,
            Replay::Unsent => true,
            Replay::Unanswered => lease.reused && request.method.is_idempotent(),
        };
        if again || !replayed {
            return Err(failure);
        }
        again = true;
    }
}
