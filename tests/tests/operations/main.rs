//! Backups that run on their own, from the configuration file to the alert: no CouchDB is needed.

mod config;
mod continuous;
mod health;
mod hooks;
mod packaging;
mod run;
mod site;
