//! What people and tests ask of the sandbox, over plain HTTP.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use futures::stream;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    behaviour::{Behaviour, Settings},
    deliveries::{Counts, Deliveries, Delivery},
    service::Service,
};

/// Entries put into one piece of a streamed answer.
const ENTRIES_A_PIECE: usize = 500;

pub(super) fn router(deliveries: Arc<Deliveries>, services: Vec<Arc<Service>>) -> Router {
    Router::new()
        .route("/deliveries", get(list).delete(clear))
        .route("/deliveries/count", get(count))
        .route("/vendors/{channel}", put(behave))
        .route("/vendors/{channel}/subscriptions/{name}", get(subscribe))
        .with_state(Sandbox { deliveries, services: services.into() })
}

#[derive(Clone)]
struct Sandbox {
    deliveries: Arc<Deliveries>,
    services: Arc<[Arc<Service>]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    channel: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    channel: Option<String>,
}

async fn list(State(sandbox): State<Sandbox>, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    sandbox.know(wanted.channel.as_deref())?;
    let entries = sandbox.deliveries.list(wanted.channel.as_deref(), wanted.token.as_deref());
    Ok(as_array(entries))
}

async fn clear(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.deliveries.clear();
    StatusCode::NO_CONTENT
}

async fn count(State(sandbox): State<Sandbox>, Query(wanted): Query<Counted>) -> Result<Json<Counts>, Refusal> {
    sandbox.know(wanted.channel.as_deref())?;
    Ok(Json(sandbox.deliveries.count(wanted.channel.as_deref())))
}

async fn behave(
    State(sandbox): State<Sandbox>,
    Path(channel): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let service = sandbox.service(&channel)?;
    // Through a map: derived code would take an array of the fields' values as well.
    let settings: Map<String, Value> = serde_json::from_slice(&body).map_err(Refusal::bad)?;
    let settings: Settings = serde_json::from_value(settings.into()).map_err(Refusal::bad)?;
    service.behave(Behaviour::try_from(settings).map_err(Refusal::bad)?);
    Ok(StatusCode::NO_CONTENT)
}

/// What a browser says that it has subscribed to.
async fn subscribe(
    State(sandbox): State<Sandbox>,
    Path((channel, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let subscription = sandbox.service(&channel)?.subscription(&name);
    subscription.map(Json).ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("no subscriptions of `{name}` here")))
}

impl Sandbox {
    fn service(&self, channel: &str) -> Result<&Service, Refusal> {
        let mut services = self.services.iter();
        services
            .find(|service| service.channel() == channel)
            .map(Arc::as_ref)
            .ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("no vendor `{channel}` here")))
    }

    fn know(&self, channel: Option<&str>) -> Result<(), Refusal> {
        channel.map_or(Ok(()), |channel| self.service(channel).map(drop))
    }
}

/// The entries as a JSON array, put together while it is sent: it can be a hundred megabytes.
fn as_array(entries: Vec<Arc<Delivery>>) -> Response {
    let mut pieces = entries.chunks(ENTRIES_A_PIECE).map(<[_]>::to_vec).collect::<Vec<_>>().into_iter();
    let mut opening = Some("[");
    let pieces = std::iter::from_fn(move || {
        let piece = pieces.next();
        let mut text = match (&piece, opening) {
            (_, Some(_)) => opening.take()?.to_owned(),
            (Some(_), None) => ",".to_owned(),
            (None, None) => return None,
        };
        for (index, entry) in piece.iter().flatten().enumerate() {
            if index > 0 {
                text.push(',');
            }
            entry.write_json(&mut text);
        }
        Some(text)
    });
    let pieces = pieces.chain(std::iter::once("]".to_owned()));
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(error: impl std::error::Error) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
