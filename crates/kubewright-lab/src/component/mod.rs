//! The components that lab clusters are made of: real upstream programs and images in one directory.
//!
//! [`ensure`] returns a directory with a manifest (its format is in [`manifest`]), which is what the product's
//! artifact source `directory: PATH` reads. What is in it is said by the recipes in `components/` beside this
//! crate's sources: one directory per upstream project with a pinned Go module. Binaries are built from those or
//! downloaded from upstream; images are always written here, since fetching one needs a registry client. A
//! directory is made once per state of the recipes and kept in a cache outside the repository.

mod build;
mod cache;
mod digest;
mod download;
mod manifest;
mod oci;
mod platform;
mod process;
mod recipe;
mod rootfs;
mod source;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use cache::Cache;
use download::Fetcher;
use manifest::{Artifact, Kind, Manifest};
use platform::Platform;
use recipe::{Binary, Image, Project};
use source::{Source, Wanted};

/// A small file of upstream's whose reachability stands for that of all.
const PROBE_URL: &str = "https://dl.k8s.io/release/stable.txt";

/// Arguments of the subcommand `components`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fill this directory instead of one in the cache
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where binaries come from
    #[arg(long, env = "KUBEWRIGHT_LAB_SOURCE", value_enum, default_value_t)]
    source: Wanted,
    /// What `--source auto` asks for to see whether upstream can be reached
    #[arg(long, env = "KUBEWRIGHT_LAB_PROBE_URL", default_value = PROBE_URL, value_name = "URL")]
    probe_url: String,
    /// The recipes to follow
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/components"), value_name = "DIR")]
    recipes: PathBuf,
}

impl Arguments {
    /// Adds what comes from the environment; every line of progress goes to `report`.
    pub(crate) fn into_options(self, report: fn(&str)) -> Result<Options> {
        let root = Cache::default_root(|name| std::env::var_os(name).map(PathBuf::from))?;
        Ok(Options {
            recipes: self.recipes,
            cache: Cache::at(root),
            out: self.out,
            wanted: self.source,
            probe_url: self.probe_url,
            fetcher: Fetcher::default(),
            report,
        })
    }
}

/// Everything [`ensure`] needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    recipes: PathBuf,
    cache: Cache,
    out: Option<PathBuf>,
    wanted: Wanted,
    probe_url: String,
    fetcher: Fetcher,
    report: fn(&str),
}

/// Returns a complete directory of components, making whatever of it is not there yet.
pub(crate) fn ensure(options: &Options) -> Result<PathBuf> {
    let platform = Platform::of_this_computer()?;
    let projects = recipe::load_all(&options.recipes, platform)?;
    let recipes_digest = recipe::digest_of_all(&projects);
    if let Some(complete) = find_complete(options, &recipes_digest, options.wanted.acceptable()) {
        return Ok(complete);
    }
    let source = options
        .wanted
        .decide(&options.fetcher, &options.probe_url, &options.report);
    let _lock = options.cache.lock(&options.report)?;
    // Another process may have finished the same work while this one waited.
    if let Some(complete) = find_complete(options, &recipes_digest, &[source]) {
        return Ok(complete);
    }

    let started = Instant::now();
    let maker = Maker {
        options,
        platform,
        source,
    };
    let missing: Vec<_> = projects
        .iter()
        .filter(|project| maker.finished(project).is_none())
        .collect();
    let built: Vec<_> = missing
        .iter()
        .copied()
        .filter(|project| maker.source_of(project) == Source::Build)
        .collect();
    build::check_prerequisites(&built)?;
    for project in missing {
        maker
            .make(project)
            .with_context(|| format!("component {}", project.name))?;
    }
    let directory = target(options, &recipes_digest, source);
    cache::publish(&directory, |partial| {
        maker.assemble(&projects, &recipes_digest, partial)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    (options.report)(&format!(
        "components are complete after {seconds:.1} s: {}",
        directory.display()
    ));
    Ok(directory)
}

fn target(options: &Options, digest: &str, source: Source) -> PathBuf {
    let cached = || options.cache.components(digest, source);
    options.out.clone().unwrap_or_else(cached)
}

fn find_complete(options: &Options, digest: &str, sources: &[Source]) -> Option<PathBuf> {
    sources.iter().find_map(|source| {
        let directory = target(options, digest, *source);
        let manifest = Manifest::read(&directory)?;
        let fits = manifest.recipe == digest && manifest.source == source.word();
        (fits && manifest.is_whole(&directory)).then_some(directory)
    })
}

/// Makes what is not in the cache.
struct Maker<'a> {
    options: &'a Options,
    platform: Platform,
    source: Source,
}

impl Maker<'_> {
    /// Returns the source of one project: what upstream offers no download of is built in any case.
    fn source_of(&self, project: &Project) -> Source {
        if project.recipe.downloads.is_empty() {
            Source::Build
        } else {
            self.source
        }
    }

    fn directory_of(&self, project: &Project) -> PathBuf {
        self.options.cache.project(project, self.source_of(project))
    }

    fn finished(&self, project: &Project) -> Option<Manifest> {
        let directory = self.directory_of(project);
        Manifest::read(&directory)
            .filter(|manifest| manifest.recipe == project.digest && manifest.is_whole(&directory))
    }

    fn make(&self, project: &Project) -> Result<()> {
        let source = self.source_of(project);
        cache::publish(&self.directory_of(project), |partial| {
            let programs = partial.join("bin");
            std::fs::create_dir(&programs).context("create bin")?;
            let binaries: Vec<&Binary> = project.recipe.binaries.iter().collect();
            let report = &self.options.report;
            match source {
                Source::Build => build::build(project, &binaries, self.platform, &programs, report)?,
                Source::Download => {
                    self.options
                        .fetcher
                        .fill(project, self.platform, &programs, report)?;
                }
            }
            let mut artifacts = Vec::new();
            if let Some(image) = &project.recipe.image {
                artifacts.push(self.write_image(project, image, partial)?);
            }
            for binary in binaries {
                if binary.only_for_image {
                    std::fs::remove_file(programs.join(&binary.name)).context("remove program")?;
                } else {
                    let file = format!("bin/{}", binary.name);
                    artifacts.push(self.describe(project, &binary.name, Kind::Binary, file, partial)?);
                }
            }
            Manifest::new(&project.digest, source.word(), artifacts).write(partial)
        })
    }

    fn write_image(&self, project: &Project, image: &Image, directory: &Path) -> Result<Artifact> {
        let mut tree = rootfs::Tree::new();
        for (path, binary) in &image.files {
            let program = directory.join("bin").join(binary);
            let content = std::fs::read(&program).with_context(|| format!("read {}", program.display()))?;
            tree.add_file(path, 0o755, content);
        }
        for path in &image.host_files {
            tree.add_from_host(path)?;
        }
        for path in &image.host_directories {
            tree.add_directory_from_host(path)?;
        }
        for (path, to) in &image.links {
            tree.add_link(path, to);
        }
        let settings = oci::Settings {
            reference: &image.reference,
            entrypoint: &image.entrypoint,
            user: &image.user,
            platform: self.platform,
        };
        let file = format!("images/{}.tar", image.name);
        std::fs::create_dir_all(directory.join("images")).context("create images")?;
        let manifest_digest = oci::write_file(&directory.join(&file), &settings, &tree)?;
        let mut artifact = self.describe(project, &image.name, Kind::Image, file, directory)?;
        artifact.reference = Some(image.reference.clone());
        artifact.manifest_digest = Some(manifest_digest);
        (self.options.report)(&format!("wrote image {}", image.reference));
        Ok(artifact)
    }

    fn describe(
        &self,
        project: &Project,
        name: &str,
        kind: Kind,
        file: String,
        directory: &Path,
    ) -> Result<Artifact> {
        let (sha256, size) = digest::of_file(&directory.join(&file))?;
        Ok(Artifact {
            name: name.to_owned(),
            project: project.name.clone(),
            version: project.recipe.version.clone(),
            platform: self.platform.to_string(),
            kind,
            file,
            sha256,
            size,
            reference: None,
            manifest_digest: None,
        })
    }

    /// Brings the results of all projects together in one directory.
    fn assemble(&self, projects: &[Project], digest: &str, directory: &Path) -> Result<()> {
        let mut artifacts = Vec::new();
        for name in ["bin", "images"] {
            std::fs::create_dir(directory.join(name)).with_context(|| format!("create {name}"))?;
        }
        for project in projects {
            let made = self
                .finished(project)
                .with_context(|| format!("component {} vanished from the cache", project.name))?;
            let from = self.directory_of(project);
            for artifact in made.artifacts {
                link_or_copy(&from.join(&artifact.file), &directory.join(&artifact.file))?;
                artifacts.push(artifact);
            }
        }
        Manifest::new(digest, self.source.word(), artifacts).write(directory)
    }
}

fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    // Another file system: the bytes are needed twice.
    std::fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests;
