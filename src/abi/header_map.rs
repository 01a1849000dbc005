//! Header maps by the specification's numbers: those of the request, and what calls were answered with.

use super::calls::Report;
use super::changes::TOO_MANY;
use super::host::{Fields, HeaderMap, HttpStream};
use super::types::{LogLevel, MapType, Status};
use super::vm::VmState;

/// A header map.
pub enum Found<'a> {
    /// One of the effective context's request.
    Stream(&'a dyn HttpStream, HeaderMap),
    /// What a call was answered with, which cannot be changed.
    Call(&'a Fields),
    /// Not there now.
    None,
}

impl<'a> Found<'a> {
    pub fn visit(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        match self {
            Self::Stream(stream, map) => stream.headers(*map, visit),
            Self::Call(fields) => fields.iter().for_each(|(name, value)| visit(name, value)),
            Self::None => {}
        }
    }

    /// Appends the first value of a header. False if there is none.
    pub fn get(&self, key: &[u8], value: &mut Vec<u8>) -> bool {
        match self {
            Self::Stream(stream, map) => stream.header(*map, key, value),
            Self::Call(fields) => {
                let found = fields
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(key));
                value.extend(found.into_iter().flat_map(|(_, value)| value));
                found.is_some()
            }
            Self::None => false,
        }
    }
}

/// The map of that number as one in which so many headers, of so many bytes, can be changed.
///
/// # Errors
/// `BadArgument`.
pub fn writable(
    state: &VmState,
    map_id: u32,
    headers: usize,
    bytes: usize,
) -> Result<(&dyn HttpStream, HeaderMap), Status> {
    let Found::Stream(stream, map) = find(state, map_id)? else {
        return Err(Status::BadArgument);
    };
    if let Some(Err(too_many)) = state.stream().map(|c| c.changes.add(headers, bytes)) {
        if too_many.is_first {
            state.log(LogLevel::Warn, TOO_MANY);
        }
        return Err(Status::BadArgument);
    }
    Ok((stream, map))
}

/// The map of that number. Trailers of requests and responses are not shown.
///
/// # Errors
/// `BadArgument` where none has it.
pub fn find(state: &VmState, map_id: u32) -> Result<Found<'_>, Status> {
    let map = MapType::try_from(map_id)?;
    let stream = |map| {
        state
            .stream()
            .map_or(Found::None, |c| Found::Stream(&*c.stream, map))
    };
    let call = |fields: fn(&Report) -> &Fields| {
        state
            .report
            .as_deref()
            .map_or(Found::None, |report| Found::Call(fields(report)))
    };
    Ok(match map {
        MapType::HttpRequestHeaders => stream(HeaderMap::Request),
        MapType::HttpResponseHeaders => stream(HeaderMap::Response),
        MapType::HttpRequestTrailers | MapType::HttpResponseTrailers => Found::None,
        MapType::GrpcCallInitialMetadata => call(|report| &report.initial_metadata),
        MapType::GrpcCallTrailingMetadata => call(|report| &report.trailing_metadata),
        MapType::HttpCallResponseHeaders => call(|report| &report.headers),
        MapType::HttpCallResponseTrailers => call(|report| &report.trailers),
    })
}
