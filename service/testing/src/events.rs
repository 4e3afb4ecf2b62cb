//! Reading server-sent events.

use reqwest::Response;
use serde_json::Value;

use crate::DEADLINE;

/// A stream of events, each with an id and JSON.
#[derive(Debug)]
pub struct Events {
    response: Response,
    bytes: Vec<u8>,
}

impl Events {
    /// The events of an answer.
    pub fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            bytes: Vec::new(),
        }
    }

    /// The next event's id and data; none once the stream has ended. Comments are passed over.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        let mut searched = 0;
        loop {
            let unread = self.bytes.get(searched..).unwrap_or_default();
            if let Some(found) = unread.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.bytes.drain(..searched + found + 2).collect();
                let event = String::from_utf8(event).expect("events are UTF-8");
                let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(id), Some(data)) = (line("id: "), line("data: ")) {
                    return Some((
                        id.to_owned(),
                        serde_json::from_str(data).expect("data is JSON"),
                    ));
                }
                searched = 0;
                continue;
            }
            searched = self.bytes.len().saturating_sub(1);
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await;
            let chunk = chunk
                .expect("no event came")
                .expect("the stream broke off")?;
            self.bytes.extend_from_slice(&chunk);
        }
    }
}
