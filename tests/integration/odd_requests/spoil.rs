//! What can be wrong with a request.

use outrigger_tests::random::Random;
use serde_json::Value;

use super::generator::{Framing, LIMIT_BYTES, Odd, continue_token, framing, odd_value};
use super::vocabulary::{
    ACCEPTS, CONTENT_TYPES, HEADERS, JSON_TEXTS, METHODS, OPTIONS, PATHS, POINTERS, SEGMENTS,
    VALUES,
};

impl Odd {
    pub(super) fn spoil(&mut self, random: &mut Random) {
        match random.below(12) {
            0 => self.method = random.one_of(&METHODS).to_owned(),
            1 | 2 => self.spoil_path(random),
            3 | 4 => {
                for _ in 0..=random.below(3) {
                    self.add_option(random);
                }
            }
            5 => self.set_header("Content-Type", random.one_of(&CONTENT_TYPES)),
            6 => self.set_header("Accept", random.one_of(&ACCEPTS)),
            7 => self.spoil_headers(random),
            8 => self.framing = framing(random),
            9 | 10 => self.spoil_body(random),
            _ => self.spoil_rarely(random),
        }
    }

    fn spoil_path(&mut self, random: &mut Random) {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path.to_owned(), format!("?{query}")),
            None => (self.target.clone(), String::new()),
        };
        let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        let at = random.below(segments.len());
        match random.below(6) {
            0 => segments[at] = random.one_of(&SEGMENTS).to_owned(),
            1 => segments.insert(at, random.one_of(&SEGMENTS).to_owned()),
            2 => {
                segments.remove(at);
            }
            3 => {
                let escaped = segments[at].bytes().map(|it| format!("%{it:02X}"));
                segments[at] = escaped.collect();
            }
            4 => segments.push(random.one_of(&SEGMENTS).to_owned()),
            _ => {
                segments = random
                    .one_of(&PATHS)
                    .split('/')
                    .map(str::to_owned)
                    .collect()
            }
        }
        self.target = segments.join("/") + &query;
        if !self.target.starts_with('/') && random.chance(90) {
            self.target.insert(0, '/');
        }
    }

    fn add_option(&mut self, random: &mut Random) {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let key = random.one_of(&OPTIONS);
        let value = match random.below(12) {
            0 => "a".repeat(5000),
            1 => continue_token(random),
            _ => random.one_of(&VALUES).to_owned(),
        };
        self.target += &format!("{separator}{key}={value}");
    }

    fn spoil_headers(&mut self, random: &mut Random) {
        let &(name, value) = &HEADERS[random.below(HEADERS.len())];
        let value = match random.below(20) {
            0 => vec![b'x'; 40 * 1024],
            1 => vec![0xff, 0xfe, b'a'],
            _ => value.as_bytes().to_vec(),
        };
        self.headers.push((name.to_owned(), value));
        if random.chance(5) {
            let many = (0..200).map(|it| (format!("X-Many-{it}"), b"y".to_vec()));
            self.headers.extend(many);
        }
    }

    fn spoil_body(&mut self, random: &mut Random) {
        let length = self.body.len();
        let at = random.below(length + 1);
        match random.below(8) {
            0 => self.body.truncate(at),
            1 if at < length => self.body[at] ^= 1 << random.below(8),
            2 if at < length => {
                self.body.remove(at);
            }
            3 => {
                let text = random.one_of(&JSON_TEXTS).as_bytes();
                self.body.splice(at..at, text.iter().copied());
            }
            4 => self.body = random.one_of(&JSON_TEXTS).as_bytes().to_vec(),
            5 => {
                let copy = self.body[at..].to_vec();
                self.body.extend_from_slice(&copy);
            }
            6 => self.set_somewhere(random),
            _ => {
                let depth = [50, 126, 130, 5000][random.below(4)];
                let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
                self.replace_first_value(&nested);
            }
        }
    }

    /// Puts an odd value at a place of the object, or of the patch.
    fn set_somewhere(&mut self, random: &mut Random) {
        let Ok(mut document) = serde_json::from_slice::<Value>(&self.body) else {
            return;
        };
        let pointer = random.one_of(&POINTERS);
        let odd = odd_value(random);
        if let Some(place) = document.pointer_mut(pointer) {
            *place = odd;
        } else if let Some((parent, name)) = pointer.rsplit_once('/')
            && let Some(Value::Object(map)) = document.pointer_mut(parent)
        {
            map.insert(name.to_owned(), odd);
        }
        self.body = document.to_string().into_bytes();
    }

    fn replace_first_value(&mut self, value: &str) {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        if let Some(at) = text.find("\"spec\":") {
            let (head, tail) = text.split_at(at + "\"spec\":".len());
            self.body = format!("{head}{value},\"rest\":{tail}").into_bytes();
        }
    }

    fn spoil_rarely(&mut self, random: &mut Random) {
        match random.below(8) {
            0 => self.version = ["HTTP/1.0", "HTTP/2.0", "HTTP/9.9"][random.below(3)],
            1 => {
                self.framing = Framing::Garbage;
                self.body = match random.below(3) {
                    0 => (0..random.below(2000))
                        .map(|_| random.number().to_le_bytes()[0])
                        .collect(),
                    1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff\x04\0\0\0\0\0".to_vec(),
                    _ => b"GET /\0 HTTP/1.1\r\nHost\r\n\r\n".to_vec(),
                };
            }
            2 => {
                let size = [200 * 1024, 300 * 1024, LIMIT_BYTES, LIMIT_BYTES + 1][random.below(4)];
                self.replace_first_value(&format!("{{\"chain\":\"{}\"}}", "A".repeat(size)));
            }
            3 => {
                let labels: String = (0..2000).map(|it| format!("\"l{it}\":\"v\",")).collect();
                let text = String::from_utf8_lossy(&self.body).into_owned();
                let many = format!("\"metadata\":{{\"labels\":{{{labels}\"z\":\"\"}},");
                self.body = text.replacen("\"metadata\":{", &many, 1).into_bytes();
            }
            4 => self.target += &format!("/{}", "x".repeat(3000)),
            5 => self.headers.clear(),
            6 => self.is_http2 = !self.is_http2,
            _ => self.method = "x".repeat(30),
        }
    }

    pub(super) fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|it| it.0 != name);
        self.headers
            .push((name.to_owned(), value.as_bytes().to_vec()));
    }
}
