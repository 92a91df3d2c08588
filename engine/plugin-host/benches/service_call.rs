//! What a service call costs over the bare program: the built-in plugin `command` asks a program for the status, again and
//! again, and in turn the same program is run without any plugin. Prints the medians in microseconds as JSON.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_host::{
    Chain, Folders, Grants, HostOptions, Kind, NoEvents, NodeId, PluginHost, PluginReference, ServicePlugin,
};

const ROUNDS: usize = 300;
const PROGRAM: &str = "/bin/true";

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0, Duration::as_micros)
}

/// The program as the host runs it, but for the plugin.
async fn bare() {
    let mut program = tokio::process::Command::new(PROGRAM);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let output = program.output().await.expect("the program runs");
    assert!(output.status.success());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let host = PluginHost::new(HostOptions { folders: Folders::default(), ..HostOptions::default() })
            .expect("an engine");
        let plugin = host.load("command", Kind::Service).await.expect("the built-in plugin");
        let permission = host.permit(&plugin, &Grants::default()).expect("built-in plugins are permitted");
        let reference = PluginReference::new("command")
            .with("start", PROGRAM)
            .with("stop", PROGRAM)
            .with("status", PROGRAM);
        let settings = plugin.settings(&reference).expect("settings that fit");
        let node = NodeId::default();
        let service =
            ServicePlugin::new(plugin, permission, settings, node, Chain::default(), Arc::new(NoEvents))
                .expect("a service plugin");
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            service.status().await.expect("a state");
            with.push(begun.elapsed());
            let begun = Instant::now();
            bare().await;
            without.push(begun.elapsed());
        }
        println!("{{\"plugin_us\": {}, \"bare_us\": {}}}", median(with), median(without));
    });
}
