//! What the module asks of its host: proxy-wasm 0.2.1, and the environment.

use super::{asking::Asking, guest::Host};
use faultline_filter::{
    host::{Answer, Headers, Host as _, MetricId, MetricKind, Status},
    pairs,
    plugin::UNCONFIGURED,
};
use faultline_filter_core::problem::Problem;
use std::mem;
use wasmi::{Caller, Engine, Error, Linker};

fn status(answer: Answer<()>) -> u32 {
    answer.err().map_or(0, |Status(status)| status)
}

fn headers(map: u32) -> Headers {
    match map {
        0 => Headers::Request,
        2 => Headers::Response,
        other => panic!("a map of headers that is none: {other}"),
    }
}

fn kind(kind: u32) -> MetricKind {
    match kind {
        0 => MetricKind::Counter,
        2 => MetricKind::Histogram,
        other => panic!("a kind of metric that is none: {other}"),
    }
}

/// The functions that the module imports.
pub(super) fn linker<'a>(engine: &Engine) -> Result<Linker<Host<'a>>, Error> {
    let mut linker = Linker::new(engine);
    values(&mut linker)?;
    orders(&mut linker)?;
    metrics(&mut linker)?;
    environment(&mut linker)?;
    Ok(linker)
}

fn values<'a>(linker: &mut Linker<Host<'a>>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |caller: Caller<'_, Host<'a>>,
         buffer: u32,
         _start: u32,
         _most: u32,
         value: u32,
         size: u32| {
            let mut asking = Asking::new(caller);
            assert_eq!(buffer, 7, "the plugin's configuration");
            asking.configuration((value, size))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |caller: Caller<'_, Host<'a>>, map: u32, value: u32, size: u32| {
            let mut asking = Asking::new(caller);
            let mut answer = asking.mock().headers(headers(map));
            // A number of headers, or a size of one, that is another.
            let damage = asking.mock().read(|input| {
                let is_damaged = input.ratio(1, 8).unwrap_or_default();
                is_damaged.then(|| (input.int_in_range(0..=8).unwrap_or(0), input.arbitrary()))
            });
            if let (Ok(map), Some((place, number))) = (&mut answer, damage) {
                let number: [u8; 4] = number.unwrap_or_default();
                if let Some(there) = map.get_mut(4 * place..).and_then(<[u8]>::first_chunk_mut) {
                    *there = number;
                }
            }
            asking.give(answer, (value, size))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |caller: Caller<'_, Host<'a>>,
         map: u32,
         name: u32,
         name_size: u32,
         value: u32,
         size: u32| {
            let mut asking = Asking::new(caller);
            let name = asking.text(name, name_size);
            let answer = asking.mock().header(headers(map), &name);
            asking.give(answer, (value, size))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |caller: Caller<'_, Host<'a>>, path: u32, path_size: u32, value: u32, size: u32| {
            let mut asking = Asking::new(caller);
            let path = asking.text(path, path_size);
            let answer = asking.mock().property(&path);
            asking.give(answer, (value, size))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |caller: Caller<'_, Host<'a>>, time: u32| {
            let mut asking = Asking::new(caller);
            match asking.mock().now() {
                Ok(now) => {
                    asking.write_number(time, &now.to_le_bytes());
                    0
                }
                Err(Status(status)) => status,
            }
        },
    )?;
    Ok(())
}

fn orders<'a>(linker: &mut Linker<Host<'a>>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_log",
        |caller: Caller<'_, Host<'a>>, _level: u32, line: u32, size: u32| {
            let asking = Asking::new(caller);
            asking.mock().log_error(&asking.text(line, size));
            0_u32
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_add_header_map_value",
        |caller: Caller<'_, Host<'a>>,
         map: u32,
         name: u32,
         name_size: u32,
         value: u32,
         size: u32| {
            let asking = Asking::new(caller);
            let (name, value) = (asking.text(name, name_size), asking.text(value, size));
            status(asking.mock().add_header(headers(map), &name, &value))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |caller: Caller<'_, Host<'a>>, path: u32, path_size: u32, value: u32, size: u32| {
            let asking = Asking::new(caller);
            let (path, value) = (asking.text(path, path_size), asking.text(value, size));
            status(asking.mock().set_property(&path, &value))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |caller: Caller<'_, Host<'a>>,
         code: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         headers: u32,
         headers_size: u32,
         _grpc_status: i32| {
            let asking = Asking::new(caller);
            asking.text(details, details_size);
            assert!(!asking.text(body, body_size).is_empty());
            let headers = asking.bytes(headers, headers_size);
            let content_type = pairs::value(&headers, "content-type").expect("a map of headers");
            let content_type = str::from_utf8(content_type).expect("a text");
            status(asking.mock().answer(&Problem {
                status: code,
                headers: vec![("content-type", content_type)],
                body: "",
            }))
        },
    )?;
    Ok(())
}

fn metrics<'a>(linker: &mut Linker<Host<'a>>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |caller: Caller<'_, Host<'a>>, of: u32, name: u32, size: u32, id: u32| {
            let mut asking = Asking::new(caller);
            let name = asking.text(name, size);
            match asking.mock().define(kind(of), &name) {
                Ok(MetricId(defined)) => {
                    asking.write(id, &defined.to_le_bytes());
                    0
                }
                Err(Status(0)) => 1,
                Err(Status(status)) => status,
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_increment_metric",
        |caller: Caller<'_, Host<'a>>, id: u32, count: i64| {
            status(Asking::new(caller).mock().add(MetricId(id), count))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_record_metric",
        |caller: Caller<'_, Host<'a>>, id: u32, value: u64| {
            status(Asking::new(caller).mock().record(MetricId(id), value))
        },
    )?;
    Ok(())
}

fn environment<'a>(linker: &mut Linker<Host<'a>>) -> Result<(), Error> {
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(
        WASI,
        "environ_sizes_get",
        |caller: Caller<'_, Host<'a>>, count: u32, size: u32| {
            let mut asking = Asking::new(caller);
            let value = asking.mock().environment(UNCONFIGURED).unwrap_or_default();
            let mut variables = [UNCONFIGURED.as_bytes(), b"=", &value, b"\0"].concat();
            let mut length = u32::try_from(variables.len()).unwrap_or(u32::MAX);
            let mut number = 1_u32;
            // More of them than there are, or can be.
            let lie = asking.mock().read(|input| match input.ratio(3, 4) {
                Ok(false) => input.arbitrary::<(bool, u32, u32)>().ok(),
                _ => None,
            });
            let lie = lie.map(|(can_be, count, size)| match can_be {
                true => (count >> 12, size >> 12),
                false => (count, size | 1 << 30),
            });
            if let Some(lie) = lie {
                (number, length) = lie;
                variables.truncate(length as usize);
            }
            *asking.environment() = variables;
            asking.write_number(count, &number.to_le_bytes());
            asking.write(size, &length.to_le_bytes());
            0_u32
        },
    )?;
    linker.func_wrap(
        WASI,
        "environ_get",
        |caller: Caller<'_, Host<'a>>, _variables: u32, block: u32| {
            let mut asking = Asking::new(caller);
            let variables = mem::take(asking.environment());
            asking.write(block, &variables);
            asking.mock().read(|input| match input.ratio(7, 8) {
                Ok(false) => input.arbitrary().unwrap_or_default(),
                _ => 0_u32,
            })
        },
    )?;
    Ok(())
}
