//! netrc files, as curl reads them.

use node::Credentials;

/// A word of a netrc file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word.
    Word(String),
    /// The end of a line that has nothing but blanks on it, which ends a macro.
    BlankLine,
}

/// Splits a text into words at blanks. A word that begins with `"` ends at the next `"`, and `\n`, `\r`, `\t`, `\"` and `\\` in
/// it stand for one character. Text from a `#` at the beginning of a word to the end of the line is a comment.
///
/// `None` if a quote is not closed.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            tokens.push(Token::BlankLine);
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
                unquoted(quoted)?
            } else {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            };
            tokens.push(Token::Word(word));
            rest = after.trim_start();
        }
    }
    Some(tokens)
}

/// The word up to the closing quote, and the text after it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((word, &text[at + 1..])),
            '\\' => word.push(match characters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            other => word.push(other),
        }
    }
    None
}

/// The credentials that a netrc file has for a machine (`machine HOST login NAME password WORD` or `default …`), from the first
/// entry that matches. `user` is the required name, if any.
pub(super) fn lookup(text: &str, host: &str, user: Option<&str>) -> Option<Credentials> {
    let mut tokens = tokens(text)?.into_iter();
    let next_word = |tokens: &mut std::vec::IntoIter<Token>| {
        tokens.find_map(|token| match token {
            Token::Word(word) => Some(word),
            Token::BlankLine => None,
        })
    };
    let mut ours = false;
    let (mut login, mut password) = (None, None);
    loop {
        let word = next_word(&mut tokens);
        match word.as_deref() {
            None | Some("machine" | "default") => {
                if ours
                    && let (Some(login), Some(password)) = (login.take(), password.take())
                    && user.is_none_or(|user| user == login)
                {
                    return Some(Credentials { user: login, password });
                }
                (login, password) = (None, None);
                ours = match word?.as_str() {
                    "default" => true,
                    _ => next_word(&mut tokens)?.eq_ignore_ascii_case(host),
                };
            }
            Some("login") => login = next_word(&mut tokens),
            Some("password") => password = next_word(&mut tokens),
            // A macro is commands for ftp, up to a blank line.
            Some("macdef") => {
                tokens.find(|token| *token == Token::BlankLine);
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str, user: Option<&str>) -> Option<(String, String)> {
        lookup(text, host, user).map(|found| (found.user, found.password))
    }

    fn pair(user: &str, password: &str) -> (String, String) {
        (user.to_owned(), password.to_owned())
    }

    #[test]
    fn machines_users_and_the_default() {
        let text = "# machine db1 login no password no\nmachine other login x password y\n\
                    machine db1\n  login a password b\nmachine DB1 login c password d\ndefault login e password f\n";
        assert_eq!(found(text, "db1", None), Some(pair("a", "b")));
        assert_eq!(found(text, "db1", Some("c")), Some(pair("c", "d")));
        assert_eq!(found(text, "db2", None), Some(pair("e", "f")));
        assert_eq!(found("machine db1 login a", "db1", None), None);
    }

    #[test]
    fn quoted_words() {
        let text = r#"machine db1 login "the admin" password "a b\"c\\d\te#f" account x"#;
        assert_eq!(found(text, "db1", None), Some(pair("the admin", "a b\"c\\d\te#f")));
        assert_eq!(
            found("machine db1 login a password \"machine\"", "db1", None),
            Some(pair("a", "machine"))
        );
        assert_eq!(found("machine db1 login a password b\"c#d", "db1", None), Some(pair("a", "b\"c#d")));
        assert_eq!(found("machine db1 login a password \"open", "db1", None), None);
    }

    #[test]
    fn comments_and_macros() {
        let text = "machine db1 # of the cluster\nlogin a\n# password no\npassword b\n\
                    macdef init\nmachine db2 login no password no\n\nmachine db2 login c password d";
        assert_eq!(found(text, "db1", None), Some(pair("a", "b")));
        assert_eq!(found(text, "db2", None), Some(pair("c", "d")));
    }
}
