//! Backups that run on their own, from the configuration file to the alert: only one test needs a CouchDB.

mod config;
mod continuous;
mod couchdb;
mod days;
mod health;
mod hooks;
mod kubernetes;
mod packaging;
mod run;
mod site;
mod volume_snapshots;
