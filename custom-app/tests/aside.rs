//! What the log agent will not have: it steps aside, blocks nothing, and is never lost.
#![cfg(test)]

mod pair;

use axum::http::StatusCode;
use custom_app::outbox::{Amount, Limits};
use faultline_service_testing::disk::Disk;
use faultline_service_testing::eventually;
use faultline_service_testing::process::Service;
use serde_json::json;
use tokio::process::Command;

use self::pair::{Agent, Instance, Setup, json, refusing};

#[tokio::test]
async fn what_is_refused_is_offered_again_until_the_log_agent_takes_it() {
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    agent
        .replaced_by(refusing("new", StatusCode::BAD_REQUEST))
        .await;
    json(instance.keyed("k", "of a new kind").await, 502).await;
    // A retry is answered as the first was, and nothing else is held up.
    json(instance.keyed("k", "of a new kind").await, 502).await;
    json(instance.keyed("k", "other").await, 422).await;
    json(instance.keyed("l", "plain").await, 201).await;
    instance.holds(json!({"refused": 1})).await;
    // The log agent is brought up to date; nothing is restarted here.
    agent.up();
    eventually("it is stored", async || agent.messages().await.pop()).await;
    instance.holds(json!({})).await;
    let again = json(instance.keyed("k", "of a new kind").await, 201).await;
    assert_eq!(agent.stored().await, [again["entry"].clone()]);
}

#[tokio::test]
async fn too_large_for_a_proxy_between_is_no_end_either() {
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    let proxy = refusing("large", StatusCode::PAYLOAD_TOO_LARGE);
    agent.replaced_by(proxy).await;
    json(instance.keyed("k", "large").await, 502).await;
    json(instance.keyed("l", "small").await, 201).await;
    agent.up();
    instance.holds(json!({})).await;
    assert_eq!(agent.messages().await, ["large"]);
}

#[tokio::test]
async fn many_that_were_refused_are_taken_together_once_it_heals() {
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    agent
        .replaced_by(refusing("new", StatusCode::BAD_REQUEST))
        .await;
    for number in 0..20 {
        let key = format!("k-{number}");
        json(instance.keyed(&key, "of a new kind").await, 502).await;
    }
    agent.up();
    instance.holds(json!({})).await;
    assert_eq!(agent.stored().await.len(), 20);
}

#[tokio::test]
async fn what_is_set_aside_gives_its_room_back_and_is_bounded_all_the_same() {
    let agent = Agent::start().await;
    let few = Amount {
        entries: 2,
        bytes: 1_000_000,
    };
    let limits = Limits {
        pending: few,
        aside: few,
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let instance = Instance::start(&agent, setup).await;
    agent
        .replaced_by(refusing("new", StatusCode::BAD_REQUEST))
        .await;
    for key in ["a", "b"] {
        json(instance.keyed(key, "new").await, 502).await;
    }
    json(instance.keyed("c", "plain").await, 201).await;
    // Beyond the bound they take the room of new entries, until there is none.
    for key in ["d", "e"] {
        json(instance.keyed(key, "new").await, 502).await;
    }
    json(instance.keyed("f", "plain").await, 503).await;
    instance.holds(json!({"refused": 4})).await;
    agent.up();
    instance.holds(json!({})).await;
    assert_eq!(agent.messages().await, ["new"; 4]);
    json(instance.keyed("f", "plain").await, 201).await;
}

/// On a full disk a refusal cannot be written down; a delivery can, and makes room for it.
#[tokio::test]
async fn on_a_full_disk_what_is_refused_holds_nobody_up() {
    let Some(disk) = Disk::mount(16_000_000) else {
        return;
    };
    let agent = Agent::start().await;
    agent.down();
    let service = Service::start(disk.command(|folder| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custom-app"));
        command
            .args(["--listen", "127.0.0.1:0", "--wait-limit", "1ms"])
            .args(["--log-agent-url", &agent.hop.url()])
            .arg("--data-dir")
            .arg(folder);
        command
    }));
    let service = service.await;
    let instance = Instance::of(&service);
    json(instance.keyed("first", "new").await, 202).await;
    let mut accepted = 1;
    while instance
        .keyed(&accepted.to_string(), &"x".repeat(50_000))
        .await
        .status()
        == 202
    {
        accepted += 1;
    }
    assert!(accepted > 10, "{accepted}");
    agent
        .replaced_by(refusing("new", StatusCode::BAD_REQUEST))
        .await;
    instance.holds(json!({"refused": 1})).await;
    agent.up();
    instance.holds(json!({})).await;
    assert_eq!(agent.messages().await, ["new"]);
}
