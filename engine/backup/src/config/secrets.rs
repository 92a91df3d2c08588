//! Which settings in a configuration file are secrets. Only their names are reported.

/// Parts of keys that hold secrets.
const TELLING: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "private_key", "api_key", "access_key"];
/// Keys that look like secrets but are not.
const HARMLESS: [&str; 4] = ["password_regexp", "password_scheme", "proxy_use_secret", "x_auth_token"];
/// A section whose keys are names that users chose for patterns.
const PATTERNS: &str = "couch_scanner_plugin_find.regexes";
/// Examples in the comments of CouchDB's own files.
const EXAMPLES: [&str; 3] = ["mysecretpassword", "somepassword", "aGVsbG8="];
/// Marks a setting in a comment: a password that was replaced may have stayed there.
const IN_A_COMMENT: &str = " (in a comment)";

/// Lists the secrets in a file, as `[section] key` or an argument of the Erlang VM, in the order of the file, each once.
pub(super) fn secrets_of(file_name: &str, content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    let lines = text.split(['\n', '\r', '\x1a']);
    let mut found: Vec<String> = Vec::new();
    let mut add = |secret: String| {
        if !found.contains(&secret) {
            found.push(secret);
        }
    };
    if std::path::Path::new(file_name).extension().is_some_and(|ending| ending == "ini") {
        let mut section = "";
        let mut section_in_comments = "";
        for line in lines {
            let line = line.trim();
            let (line, is_comment) = match line.strip_prefix(';').or_else(|| line.strip_prefix('#')) {
                Some(comment) => (comment.trim_start_matches([';', '#', ' ', '\t']), true),
                // What follows is a comment, to CouchDB.
                None => (
                    line.split(" ;").next().unwrap_or(line).split("\t;").next().unwrap_or(line).trim(),
                    false,
                ),
            };
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section_in_comments = name;
                if !is_comment {
                    section = name;
                }
                continue;
            }
            let section = if is_comment { section_in_comments } else { section };
            let Some((key, value)) = setting(line) else { continue };
            // Comments are mostly prose.
            if is_comment && key.contains(char::is_whitespace) {
                continue;
            }
            if is_secret(section, key, value) && !(is_comment && is_example(value)) {
                add(format!("[{section}] {key}{}", if is_comment { IN_A_COMMENT } else { "" }));
            }
        }
    } else {
        for line in lines {
            let line = line.trim();
            let (line, is_comment) = match line.strip_prefix('#') {
                Some(comment) => (comment.trim_start_matches(['#', ' ', '\t']), true),
                None => (line, false),
            };
            let Some(argument) = secret_argument(line) else { continue };
            add(format!("{argument}{}", if is_comment { IN_A_COMMENT } else { "" }));
        }
    }
    found
}

/// Splits a line as CouchDB does: at ` = ` or else at `=`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(" = ").or_else(|| line.split_once('='))?;
    let (key, value) = (key.trim(), value.trim());
    (!key.is_empty() && !value.is_empty()).then_some((key, value))
}

fn is_secret(section: &str, key: &str, value: &str) -> bool {
    match section {
        "admins" => true,
        "jwt_keys" => key.starts_with("hmac:") || value.contains("PRIVATE KEY"),
        PATTERNS => false,
        _ => {
            let key = key.to_ascii_lowercase();
            let sounds = TELLING.iter().any(|part| key.contains(part)) && !HARMLESS.contains(&key.as_str());
            sounds || has_credentials(value)
        }
    }
}

fn is_example(value: &str) -> bool {
    EXAMPLES.iter().any(|example| value.starts_with(example))
}

/// Whether the text holds a URL with a name and password.
fn has_credentials(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let place = rest.split(['/', ' ', ',', '"', '?', '#']).next().unwrap_or_default();
        place.rsplit_once('@').is_some_and(|(credentials, _)| credentials.contains(':'))
    })
}

/// The name of the Erlang VM's argument on a line that is followed by a secret.
fn secret_argument(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let first = words.next().filter(|word| word.starts_with(['-', '+']))?;
    if first == "-setcookie" {
        return words.next().map(|_| first);
    }
    // As in `-ssl_dist_opt server_password WORD`.
    words.clone().find(|word| TELLING.iter().any(|part| word.to_ascii_lowercase().contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_with_secrets() {
        let text = "\
            [couchdb]\nuuid = 0123\n\
            [chttpd]\nbind_address = 127.0.0.1\r\n\
            [admins] ; who may\nanna = -pbkdf2-abc\n;old = relax ; really\nb = x\n\
            [chttpd_auth]\nsecret=abcd\nproxy_use_secret = true\npassword_regexp = []\nx_auth_token = X-Auth\nsecret = twice\n\
            [jwt_keys]\nhmac:_default = aGVsbG8=\nrsa:foo = -----BEGIN PUBLIC KEY-----\\n\nec:x = -----BEGIN EC PRIVATE KEY-----\\n\n\
            [ssl]\nkey_file = /etc/key.pem\npassword = p\n\
            [replicator]\npassword = ; none\n\
            [nouveau]\nurl = http://u:p@127.0.0.1:5987\n\
            [other]\nurl = http://127.0.0.1/a@b:c\n";
        assert_eq!(
            secrets_of("local.ini", text.as_bytes()),
            [
                "[admins] anna",
                "[admins] old (in a comment)",
                "[admins] b",
                "[chttpd_auth] secret",
                "[jwt_keys] hmac:_default",
                "[jwt_keys] ec:x",
                "[ssl] password",
                "[nouveau] url",
            ]
        );
        assert_eq!(secrets_of("a.ini", b"no section\n\xff\xfe=\n[\n]\n=\n"), [""; 0]);
    }

    #[test]
    fn examples_in_comments_are_none() {
        let text = "[admins]\n;admin = mysecretpassword\n;[jwt_keys]\n;   hmac:_default = aGVsbG8= # hello\n\
                    [replicator]\n;password = somepassword\n;[jwt_keys]\n; hmac:x = c2VjcmV0\n; With this the secret = nothing\n\
                    [cors]\n;credentials = false\n";
        assert_eq!(secrets_of("local.ini", text.as_bytes()), ["[jwt_keys] hmac:x (in a comment)"]);
    }

    #[test]
    fn arguments_with_secrets() {
        let text = "-name couchdb@127.0.0.1\n# A note on -setcookie\n-setcookie monster\n#-setcookie old\n\
                    -ssl_dist_opt server_password word\n-kernel error_logger silent\n+SDio 16\n";
        assert_eq!(
            secrets_of("vm.args", text.as_bytes()),
            ["-setcookie", "-setcookie (in a comment)", "server_password"]
        );
    }
}
