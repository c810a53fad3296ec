//! Answers for a server over HTTP whose message is too long to be taken: the library breaks off without a word on why.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::ErrorData;
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::Sse;

use crate::upstream::transport::limits::{LONGEST_ANSWER, too_long};

/// An HTTP client that puts an error in the server's name in the place of an answer that is too long.
#[derive(Clone)]
pub struct OversizedResponses<C>(pub C);

type Posted<E> = Result<StreamableHttpPostResponse, StreamableHttpError<E>>;
type Headers = HashMap<HeaderName, HeaderValue>;

impl<C: StreamableHttpClient + Sync> StreamableHttpClient for OversizedResponses<C> {
    type Error = C::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Posted<C::Error> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session, token, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
        mut limits: StreamableHttpResponseLimits,
    ) -> Posted<C::Error> {
        limits.max_json_response_size = LONGEST_ANSWER;
        limits.max_sse_event_size = LONGEST_ANSWER;
        let id = match &message {
            JsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let answer = self.0.post_message_with_response_limits(uri, message, session, token, headers, limits).await;
        match (answer, id) {
            (Err(StreamableHttpError::ResponseBodyTooLarge { .. }), Some(id)) => {
                Ok(StreamableHttpPostResponse::Json(refusal(id), None))
            }
            (Ok(StreamableHttpPostResponse::Sse(stream, session)), Some(id)) => {
                let stream = stream.map(move |event| match event {
                    Err(error) if is_too_long(&error) => Ok(event_of(&refusal(id.clone()))),
                    event => event,
                });
                Ok(StreamableHttpPostResponse::Sse(stream.boxed(), session))
            }
            (answer, _) => answer,
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<(), StreamableHttpError<C::Error>> {
        self.0.delete_session(uri, session, token, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, StreamableHttpError<C::Error>> {
        self.0.get_stream_with_max_sse_event_size(uri, session, last_event, token, headers, LONGEST_ANSWER).await
    }
}

fn refusal(id: RequestId) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::error(ErrorData::internal_error(too_long(LONGEST_ANSWER), None), Some(id))
}

fn event_of(message: &ServerJsonRpcMessage) -> Sse {
    Sse::default().data(serde_json::to_string(message).unwrap_or_default())
}

/// Whether a stream broke off over the limit; the library keeps the kind of this error to itself.
fn is_too_long(error: &SseError) -> bool {
    matches!(error, SseError::Body(error) if error.to_string().contains("exceeded the maximum size"))
}
